package artifacts

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/provenance"
)

// TestTamperedFilesFromAnywhere: neither the working directory nor a symlink hides
// the statement, so tampered files do not pass as unsigned ones.
func TestTamperedFilesFromAnywhere(t *testing.T) {
	for _, where := range []string{"project", "out", "sub", "link to out", "out is a link", "map is a link", "copy", "copy without signature"} {
		t.Run(where, func(t *testing.T) {
			root, agent := newState(t), newKey(t)
			files := map[string]string{"sub/hello.bin": "1", "sub/boot.bin": "b", "sub/flasher_args.json": flashMap}
			in, m, result := signed(t, root, agent, files, nil)
			result.FlashMap = "sub/flasher_args.json"
			set, err := in.Keep(m, result, &Expected{Key: agent.Public(), JobID: job, Source: source})
			if err != nil {
				t.Fatal(err)
			}
			known := identity.NewKnownAgents(filepath.Join(t.TempDir(), "known_agents"))
			if err := known.Trust("bench@one.example", agent.Public()); err != nil {
				t.Fatal(err)
			}
			state := filepath.Base(root.Name())
			aside := t.TempDir()
			place, dir := set.Dir, "."
			switch where {
			case "project":
				place = filepath.Dir(root.Name())
			case "sub":
				place = set.Path("sub")
			case "link to out":
				place, dir = aside, "link"
				if err := os.Symlink(set.Path("sub"), filepath.Join(aside, dir)); err != nil {
					t.Fatal(err)
				}
			case "copy", "copy without signature":
				if err := set.CopyTo(aside); err != nil {
					t.Fatal(err)
				}
				set.Dir, place = aside, filepath.Join(aside, "sub")
			}
			t.Chdir(place)
			load := func() (*Firmware, error) {
				at := filepath.Join(dir, "flasher_args.json")
				if where == "project" || where == "out" || strings.HasSuffix(where, "is a link") {
					at = set.Path("sub/flasher_args.json")
				}
				return LoadFirmware(at, state, known)
			}
			if fw, err := load(); err != nil || len(fw.By) != 1 {
				t.Fatalf("%+v, %v", fw, err)
			}
			switch where {
			case "out is a link":
				if err := os.Rename(set.Dir, filepath.Join(aside, "elsewhere")); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(filepath.Join(aside, "elsewhere"), set.Dir); err != nil {
					t.Fatal(err)
				}
			case "map is a link":
				at := set.Path("sub/flasher_args.json")
				if err := os.Rename(at, filepath.Join(aside, "map.json")); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(filepath.Join(aside, "map.json"), at); err != nil {
					t.Fatal(err)
				}
			case "copy without signature":
				if err := os.Remove(set.Path(provenance.FileName)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(set.Path("sub/hello.bin"), []byte("tampered"), 0o644); err != nil {
				t.Fatal(err)
			}
			if fw, err := load(); cli.Code(err) != cli.Verification {
				t.Errorf("tampered files: %+v, %v", fw, err)
			}
		})
	}
}

// TestFirmwareIsReadOnce: a file that changes all the time is flashed as the agent
// signed it, or not at all.
func TestFirmwareIsReadOnce(t *testing.T) {
	set, state, known := kept(t)
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		at := set.Path("hello.bin")
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			text := "1"
			if i%2 == 1 {
				text = "2"
			}
			if err := os.WriteFile(filepath.Join(state, "swap"), []byte(text), 0o644); err != nil {
				t.Error(err)
				return
			}
			if err := os.Rename(filepath.Join(state, "swap"), at); err != nil {
				t.Error(err)
				return
			}
		}
	})
	good := 0
	for range 300 {
		for _, load := range []func() (*Firmware, error){
			func() (*Firmware, error) { return LoadFirmware(set.Path(set.FlashMap), filepath.Base(state), known) },
			set.Firmware,
		} {
			fw, err := load()
			switch {
			case err != nil && cli.Code(err) != cli.Verification:
				t.Fatal(err)
			case err == nil && image(t, fw, "hello.bin") != "1":
				t.Fatal("the firmware holds bytes that are not signed")
			case err == nil:
				good++
			}
		}
	}
	close(done)
	group.Wait()
	t.Logf("%d of 600 loads found the signed file", good)
}
