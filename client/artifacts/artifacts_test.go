package artifacts

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
)

const flashMap = `{"flash_files": {"0x0": "boot.bin", "0x10000": "hello.bin"}, "app": {"offset": "0x10000", "file": "hello.bin"}}`

// arrive stores files in a new place, as a transfer does, and returns their manifest
// and the agent's result.
func arrive(t *testing.T, state *os.Root, files map[string]string) (*Incoming, *channel.Manifest, *channel.Result) {
	t.Helper()
	in, err := Begin(state)
	if err != nil {
		t.Fatal(err)
	}
	m, result := &channel.Manifest{}, &channel.Result{}
	for name, text := range files {
		sum := sha256.Sum256([]byte(text))
		f := channel.File{Path: name, Kind: channel.KindFile, Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:])}
		m.Files = append(m.Files, f)
		result.Artifacts = append(result.Artifacts, api.Artifact{Path: name, Size: f.Size, SHA256: f.SHA256})
	}
	sink, err := in.Sink()
	if err != nil {
		t.Fatal(err)
	}
	need, err := sink.Need(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	for _, hash := range need {
		for _, f := range m.Files {
			if f.SHA256 == hash {
				if err := sink.Put(t.Context(), hash, f.Size, strings.NewReader(files[f.Path])); err != nil {
					t.Fatal(err)
				}
				break
			}
		}
	}
	if err := sink.Done(t.Context()); err != nil {
		t.Fatal(err)
	}
	return in, m, result
}

func newState(t *testing.T) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// only checks that the folder holds these names and the lock.
func only(t *testing.T, state *os.Root, want ...string) {
	t.Helper()
	entries, err := fs.ReadDir(state.FS(), ".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != lockName {
			names = append(names, e.Name())
		}
	}
	if got := strings.Join(names, " "); got != strings.Join(want, " ") {
		t.Errorf("the folder holds %q, want %q", got, want)
	}
}

func TestNewArtifactsReplaceOldOnesWhole(t *testing.T) {
	state := newState(t)
	in, m, result := arrive(t, state, map[string]string{"old.bin": "x", "hello.bin": "1"})
	if _, err := in.Keep(m, result, &Expected{AllowUnsigned: true}); err != nil {
		t.Fatal(err)
	}
	in, m, result = arrive(t, state, map[string]string{"sub/hello.bin": "2", "sub/boot.bin": "b", "sub/flasher_args.json": flashMap})
	result.FlashMap = "sub/flasher_args.json"
	set, err := in.Keep(m, result, &Expected{AllowUnsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	only(t, state, OutName)
	if _, err := os.Stat(set.Path("old.bin")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an old artifact is still there: %v", err)
	}
	if image, ok := set.Image(); !ok || image.Path != "sub/hello.bin" {
		t.Errorf("the image is %+v, %v", image, ok)
	}
	if at, err := FindMap(filepath.Dir(set.Dir), filepath.Base(state.Name())); err == nil {
		t.Errorf("%s was found below the wrong folder", at)
	}
	if at, err := FindMap(filepath.Dir(state.Name()), filepath.Base(state.Name())); err != nil || at != set.Path("sub/flasher_args.json") {
		t.Errorf("the flash map is %s, %v", at, err)
	}
}

func TestWrongArtifactsAreRefusedAndOldOnesStay(t *testing.T) {
	good := map[string]string{"hello.bin": "1", "boot.bin": "b", "flasher_args.json": flashMap}
	tests := []struct {
		name   string
		change func(m *channel.Manifest, r *channel.Result)
		want   string
	}{
		{"missing", func(_ *channel.Manifest, r *channel.Result) {
			r.Artifacts = append(r.Artifacts, api.Artifact{Path: "more.bin", SHA256: r.Artifacts[0].SHA256})
		}, "more.bin is in its result and did not arrive"},
		{"extra", func(_ *channel.Manifest, r *channel.Result) { r.Artifacts = r.Artifacts[1:] }, "is not in its result"},
		{"other hash", func(_ *channel.Manifest, r *channel.Result) { r.Artifacts[0].SHA256 = strings.Repeat("0", 64) }, "its result says 000000"},
		{"other size", func(_ *channel.Manifest, r *channel.Result) { r.Artifacts[0].Size++ }, "its result says"},
		{"symlink", func(m *channel.Manifest, _ *channel.Result) {
			m.Files = append(m.Files, channel.File{Path: "l", Kind: channel.KindSymlink, Link: "x"})
		}, "l is a symlink"},
		{"no such map", func(_ *channel.Manifest, r *channel.Result) { r.FlashMap = "../flasher_args.json" }, "is not among them"},
		{"map that is not valid", func(_ *channel.Manifest, r *channel.Result) { r.FlashMap = "hello.bin" }, "reading flasher_args.json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			state := newState(t)
			in, m, result := arrive(t, state, map[string]string{"old.bin": "x"})
			if _, err := in.Keep(m, result, &Expected{AllowUnsigned: true}); err != nil {
				t.Fatal(err)
			}
			in, m, result = arrive(t, state, good)
			result.FlashMap = "flasher_args.json"
			tt.change(m, result)
			_, err := in.Keep(m, result, &Expected{AllowUnsigned: true})
			if cli.Code(err) != cli.Verification || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			only(t, state, OutName)
			if _, err := state.Stat(OutName + "/old.bin"); err != nil {
				t.Errorf("the last build is gone: %v", err)
			}
		})
	}
	state := newState(t)
	in, m, result := arrive(t, state, map[string]string{"hello.bin": "1", "flasher_args.json": flashMap})
	result.FlashMap = "flasher_args.json"
	if _, err := in.Keep(m, result, &Expected{AllowUnsigned: true}); cli.Code(err) != cli.Verification || !strings.Contains(err.Error(), "the flash map names boot.bin, which is not among them") {
		t.Errorf("a map of images that did not arrive: %v", err)
	}
}

// TestTwoClientsInOneProject: the last build wins, and its files are whole.
func TestTwoClientsInOneProject(t *testing.T) {
	state := newState(t)
	var group sync.WaitGroup
	for i := range 8 {
		text := string(rune('a' + i))
		in, m, result := arrive(t, state, map[string]string{"x": text, "y": text})
		group.Go(func() {
			if _, err := in.Keep(m, result, &Expected{AllowUnsigned: true}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	x, _ := state.ReadFile(OutName + "/x")
	y, _ := state.ReadFile(OutName + "/y")
	if len(x) != 1 || string(x) != string(y) {
		t.Errorf("x is of %q, y of %q", x, y)
	}
	only(t, state, OutName)
}

func TestFindMap(t *testing.T) {
	dir := t.TempDir()
	write := func(name string) string {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(flashMap), 0o644); err != nil {
			t.Fatal(err)
		}
		return at
	}
	find := func(what, want, fault string) {
		t.Helper()
		got, err := FindMap(filepath.Join(dir, what), "state")
		if got != want || (fault == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: %q, %v; want %q, %q", what, got, err, want, fault)
		}
	}
	find("none", "", "no such file")
	find(".", "", "nothing to flash")
	built := write("build/flasher_args.json")
	find(".", built, "")
	find("build/flasher_args.json", built, "")
	out := write("state/out/a/flasher_args.json")
	find(".", out, "")
	write("state/out/b/flasher_args.json")
	find(".", "", "several flash maps")
}
