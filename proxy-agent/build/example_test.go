//go:build unix

package build

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/flashmap"
	"github.com/farforge/farforge/proxy-agent/sandbox"
)

// TestShippedRecipeBuildsTheExample runs the real compiler in the real
// sandbox, twice, and expects the same bytes.
func TestShippedRecipeBuildsTheExample(t *testing.T) {
	for _, sb := range []sandbox.Sandbox{sandbox.NewBubblewrap(t.Context()), sandbox.None{}} {
		t.Run(sb.Name(), func(t *testing.T) {
			if err := sb.Check(t.Context()); err != nil {
				t.Skipf("no usable sandbox here: %v", err)
			}
			first, second := buildExample(t, sb), buildExample(t, sb)
			for _, path := range []string{"hello.bin", "hello.elf", flashmap.FileName} {
				if content(t, first, path) != content(t, second, path) {
					t.Errorf("%s differs between two builds", path)
				}
			}
			image := content(t, first, "hello.bin")
			for i := range 2 { // what the ROM looks for
				if word := binary.LittleEndian.Uint32([]byte(image[4*i:])); word != 0xaedb041d {
					t.Errorf("word %d is %#x", i, word)
				}
			}
			m, err := flashmap.Parse([]byte(content(t, first, first.FlashMap)))
			if err != nil || m.Chip != "esp32c3" || len(m.Images) != 1 || m.Images[0].Offset != 0 || m.Images[0].Path != "hello.bin" {
				t.Errorf("flash map %+v, %v", m, err)
			}
		})
	}
}

func buildExample(t *testing.T, sb sandbox.Sandbox) *Artifacts {
	t.Helper()
	recipes, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Detect(t.Context(), sb, recipes)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Entries[0].Usable() {
		t.Skip("the example's toolchain is not here: " + c.Entries[0].Missing)
	}
	ws := newWorkspace(t)
	if err := os.CopyFS(ws.Dir, os.DirFS("../../examples/esp32c3-hello")); err != nil {
		t.Fatal(err)
	}
	// The project contains an old build by another compiler.
	write(t, ws.Dir+"/build/old.bin", "stale")
	write(t, ws.Dir+"/build/hello.bin", "stale")
	choice, err := c.Choose(ws.Root.FS(), Want{Target: "esp32c3", Toolchain: "riscv64-unknown-elf-gcc"})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	result, err := choice.Run(t.Context(), sb, ws, Allowance{Cores: 2, MemoryMB: 512, Time: time.Minute}, func(l sandbox.Line) {
		log.WriteString(l.Text + "\n")
	})
	if err != nil || result.ExitCode != 0 {
		t.Fatalf("%+v, %v\n%s", result, err, log.String())
	}
	if !strings.Contains(log.String(), "removed the project's build") || !strings.Contains(log.String(), "objcopy") {
		t.Errorf("the log is\n%s", log.String())
	}
	a, err := choice.Collect(ws)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	if got := paths(a); got != "flasher_args.json hello.bin hello.elf" {
		t.Errorf("artifacts %s", got)
	}
	return a
}
