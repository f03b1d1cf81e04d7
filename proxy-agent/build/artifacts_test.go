//go:build unix

package build

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/flashmap"
)

// collect writes files into a workspace and collects by the minimal recipe with
// more text after the artifacts' patterns.
func collect(t *testing.T, recipe string, lay func(out string)) (*Artifacts, error) {
	t.Helper()
	ws := newWorkspace(t)
	lay(filepath.Join(ws.Dir, "build"))
	choice := &Choice{Entry: Entry{Recipe: parse(t, recipe)}, Target: "esp32"}
	a, err := choice.Collect(ws)
	if err == nil {
		t.Cleanup(func() { a.Close() })
	}
	return a, err
}

func paths(a *Artifacts) string {
	var all []string
	for _, f := range a.List {
		all = append(all, f.Path)
	}
	return strings.Join(all, " ")
}

func content(t *testing.T, a *Artifacts, path string) string {
	t.Helper()
	f, err := a.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestCollectWithDeclaredLayout(t *testing.T) {
	recipe := strings.Replace(minimal, `["*.bin"]`, "[\"sub/*.txt\"]\nelf = \"*.elf\"\n[flash]\nmode = \"dio\"\nimages = [{ name = \"app\", offset = 0x1000, file = \"a*.bin\" }]", 1)
	a, err := collect(t, recipe, func(out string) {
		write(t, out+"/app.bin", "abc")
		write(t, out+"/app.elf", "elf")
		write(t, out+"/sub/size.txt", "3")
		write(t, out+"/other.o", "not wanted")
		write(t, out+"/flasher_args.json", "something of the build's own")
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := paths(a); got != "app.bin app.elf flasher_args.json sub/size.txt" {
		t.Errorf("got %s", got)
	}
	const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-2, B.1
	if f := a.List[0]; f.SHA256 != abc || f.Size != 3 {
		t.Errorf("got %+v", f)
	}
	m, err := flashmap.Parse([]byte(content(t, a, a.FlashMap)))
	if err != nil || m.Chip != "esp32" || m.Mode != "dio" || len(m.Images) != 1 ||
		m.Images[0] != (flashmap.Image{Name: "app", Offset: 0x1000, Path: "app.bin"}) {
		t.Errorf("got %+v, %v", m, err)
	}
	if err := a.Manifest().Validate(); err != nil {
		t.Error(err)
	}
}

const withArgs = "[\"*.elf\"]\n[flash]\nflasher_args = \"idf/flasher_args.json\""

func TestCollectWithTheBuildsOwnFlashMap(t *testing.T) {
	a, err := collect(t, strings.Replace(minimal, `["*.bin"]`, withArgs, 1), func(out string) {
		write(t, out+"/app.elf", "elf")
		write(t, out+"/idf/app.bin", "app")
		write(t, out+"/idf/boot/boot.bin", "boot")
		write(t, out+"/idf/flasher_args.json", `{"flash_files":{"0x10000":"app.bin","0x0":"boot/boot.bin"}}`)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := paths(a); got != "app.elf flasher_args.json idf/app.bin idf/boot/boot.bin" {
		t.Errorf("got %s", got)
	}
	m, err := flashmap.Parse([]byte(content(t, a, a.FlashMap)))
	if err != nil || m.Chip != "esp32" || m.Images[0].Path != "idf/boot/boot.bin" || m.Images[1].Path != "idf/app.bin" {
		t.Errorf("got %+v, %v", m, err)
	}
}

func TestCollectRefuses(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "the agent's")
	symlink := func(to, at string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.Symlink(to, at)); err != nil {
			t.Fatal(err)
		}
	}
	oneImage := strings.Replace(minimal, `["*.bin"]`, "[\"*.bin\"]\n[flash]\nimages = [{ offset = 0, file = \"*.bin\" }]", 1)
	fromArgs := strings.Replace(minimal, `["*.bin"]`, withArgs, 1)
	args := func(out, text string) {
		write(t, out+"/app.elf", "elf")
		write(t, out+"/idf/flasher_args.json", text)
	}
	for _, c := range []struct {
		name, recipe, want string
		lay                func(out string)
	}{
		{"no output at all", minimal, "no directory build", func(string) {}},
		{"no match", minimal, "matches *.bin", func(out string) { write(t, out+"/a.elf", "") }},
		{"symlink out", minimal, "matches *.bin", func(out string) { symlink(secret, out+"/a.bin") }},
		{"output directory is a symlink out", minimal, "no directory build", func(out string) { symlink(filepath.Dir(secret), out) }},
		{"a directory", minimal, "matches *.bin", func(out string) { write(t, out+"/a.bin/x", "") }},
		{"a FIFO", minimal, "matches *.bin", func(out string) {
			if err := errors.Join(os.MkdirAll(out, 0o755), syscall.Mkfifo(out+"/a.bin", 0o600)); err != nil {
				t.Fatal(err)
			}
		}},
		{"two for one", oneImage, "2 files that match *.bin", func(out string) { write(t, out+"/a.bin", ""); write(t, out+"/b.bin", "") }},
		{"too many", minimal, "257 artifacts", func(out string) {
			for i := range MaxArtifacts + 1 {
				write(t, filepath.Join(out, strings.Repeat("x", i%200+1)+string(rune('a'+i/200))+".bin"), "")
			}
		}},
		{"no flash map", fromArgs, "no file idf/flasher_args.json", func(out string) { write(t, out+"/app.elf", "elf") }},
		{"broken flash map", fromArgs, "idf/flasher_args.json is wrong", func(out string) { args(out, "{") }},
		{"flash map leads out", fromArgs, "idf/flasher_args.json is wrong", func(out string) { args(out, `{"flash_files":{"0x0":"../../x"}}`) }},
		{"image is missing", fromArgs, "no file idf/gone.bin", func(out string) { args(out, `{"flash_files":{"0x0":"gone.bin"}}`) }},
		{"image is a symlink out", fromArgs, "idf/a.bin is not a regular file", func(out string) {
			args(out, `{"flash_files":{"0x0":"a.bin"}}`)
			symlink(secret, out+"/idf/a.bin")
		}},
		{"image below a symlink out", fromArgs, "cannot be read", func(out string) {
			args(out, `{"flash_files":{"0x0":"d/secret"}}`)
			symlink(filepath.Dir(secret), out+"/idf/d")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := collect(t, c.recipe, c.lay)
			var problem *channel.Problem
			if !errors.As(err, &problem) || !strings.Contains(problem.Message, c.want) {
				t.Errorf("got %v, %v; want %q", a, err, c.want)
			}
		})
	}
}

func TestSizeOfArtifactsIsCapped(t *testing.T) {
	_, err := collect(t, minimal, func(out string) {
		write(t, out+"/a.bin", "x")
		if err := os.Truncate(out+"/a.bin", MaxArtifactBytes+1); err != nil { // sparse
			t.Fatal(err)
		}
	})
	var problem *channel.Problem
	if !errors.As(err, &problem) || problem.Code != channel.ProblemSizeLimit {
		t.Errorf("got %v", err)
	}
}
