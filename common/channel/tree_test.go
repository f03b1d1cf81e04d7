package channel

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// project is a tree in memory.
type project map[string]string

func (p project) manifest() *Manifest {
	m := &Manifest{}
	for name, text := range p {
		sum := sha256.Sum256([]byte(text))
		m.Files = append(m.Files, File{Path: name, Kind: KindFile, Size: int64(len(text)), SHA256: digest(sum[:])})
	}
	return m
}

func (p project) open(f File) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(p[f.Path])), nil
}

// transfer sends p into a directory and returns both sides' ends.
func transfer(t *testing.T, p project, m *Manifest, dir string) (sent Transferred, sendErr, receiveErr error) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	a, b := pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	received := make(chan error, 1)
	go func() {
		_, _, err := ReceiveTree(ctx, b, NewDirSink(root), nil)
		if err != nil {
			b.Close()
		}
		received <- err
	}()
	sent, sendErr = SendTree(ctx, a, m, p.open, nil)
	if sendErr != nil {
		a.Close()
	}
	return sent, sendErr, <-received
}

func TestTreeArrivesWhole(t *testing.T) {
	big := make([]byte, 3<<20)
	rand.Read(big)
	p := project{"main.c": "int main;", "src/a.c": "same", "src/b.c": "same", "empty": "", "big.bin": string(big)}
	m := p.manifest()
	m.Files = append(m.Files, File{Path: "src/link", Kind: KindSymlink, Link: "../main.c"})
	for i := range m.Files {
		if m.Files[i].Path == "main.c" {
			m.Files[i].Kind = KindExecutable
		}
	}
	dir := t.TempDir()
	sent, sendErr, receiveErr := transfer(t, p, m, dir)
	if sendErr != nil || receiveErr != nil {
		t.Fatal(sendErr, receiveErr)
	}
	if want := int64(len("int main;") + len("same") + len(big)); sent.Bytes != want {
		t.Errorf("%d bytes went over, want %d: equal contents go once", sent.Bytes, want)
	}
	for name, text := range p {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(got, []byte(text)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if to, err := os.Readlink(filepath.Join(dir, "src/link")); to != "../main.c" {
		t.Error(to, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "main.c")); err != nil || info.Mode().Perm()&0o100 == 0 {
		t.Error("main.c is not executable", err)
	}

	// The second time, only changed contents are sent.
	p["src/b.c"] = "other"
	sent, sendErr, receiveErr = transfer(t, p, p.manifest(), dir)
	if sendErr != nil || receiveErr != nil || sent.Bytes != int64(len("other")) {
		t.Fatal(sent, sendErr, receiveErr)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "src/b.c")); string(got) != "other" {
		t.Errorf("src/b.c holds %q", got)
	}
}

func TestChangedFileIsNoticed(t *testing.T) {
	for _, now := range []string{"four+", "fou", "FOUR"} {
		p := project{"a.c": "four"}
		m := p.manifest()
		p["a.c"] = now
		dir := t.TempDir()
		_, sendErr, _ := transfer(t, p, m, dir)
		if sendErr == nil || !strings.Contains(sendErr.Error(), "a.c changed") {
			t.Errorf("%q: %v", now, sendErr)
		}
		if _, err := os.Stat(filepath.Join(dir, "a.c")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: the receiver kept it: %v", now, err)
		}
	}
}

// TestLyingSenderIsRefused sends the receiver wrong messages.
func TestLyingSenderIsRefused(t *testing.T) {
	p := project{"a.c": "four"}
	contents := func(text string) func(context.Context, Messages) error {
		return func(ctx context.Context, m Messages) error {
			if err := writeJSON(ctx, m, ObjectManifest, p.manifest()); err != nil {
				return err
			}
			if _, err := readNeed(ctx, m); err != nil {
				return err
			}
			return WriteObject(ctx, m, ObjectContents, int64(len(text)), strings.NewReader(text))
		}
	}
	raw := func(frames ...string) func(context.Context, Messages) error {
		return func(ctx context.Context, m Messages) error {
			for _, f := range frames {
				if err := m.WriteMessage(ctx, []byte(f)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	manifestText := func(text string) func(context.Context, Messages) error {
		return func(ctx context.Context, m Messages) error {
			return WriteObject(ctx, m, ObjectManifest, int64(len(text)), strings.NewReader(text))
		}
	}
	// cut sends a manifest whose compressed form was changed.
	cut := func(change func([]byte) []byte) func(context.Context, Messages) error {
		text := strings.Repeat(`{"files":[]}  `, 30)
		z, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		data := change(z.EncodeAll([]byte(text), nil))
		return raw(fmt.Sprintf(`H{"kind":"manifest","size":%d,"encoding":"zstd"}`, len(text)), "D"+string(data), "E")
	}
	evil := &Manifest{Files: []File{file("../../a")}}
	tests := []struct {
		name string
		send func(context.Context, Messages) error
		code ProblemCode
	}{
		{"other content", contents("FOUR"), ProblemContent},
		{"too long", contents("fourfour"), ProblemSizeLimit},
		{"too short", contents("fou"), ProblemMalformed},
		{"path out", func(ctx context.Context, m Messages) error { return writeJSON(ctx, m, ObjectManifest, evil) }, ProblemManifest},
		{"no header", raw("D"), ProblemMalformed},
		{"empty message", raw(""), ProblemMalformed},
		{"header that is not JSON", raw("H{"), ProblemMalformed},
		{"other object", raw(`H{"kind":"contents","size":1,"encoding":"zstd"}`), ProblemMalformed},
		{"other encoding", raw(`H{"kind":"manifest","size":1,"encoding":""}`), ProblemMalformed},
		{"huge", raw(`H{"kind":"manifest","size":99999999999,"encoding":"zstd"}`), ProblemSizeLimit},
		{"negative", raw(`H{"kind":"manifest","size":-1,"encoding":"zstd"}`), ProblemMalformed},
		{"no zstd", raw(`H{"kind":"manifest","size":5,"encoding":"zstd"}`, "Dhello", "E"), ProblemMalformed},
		{"cut zstd", cut(func(b []byte) []byte { return b[:len(b)/2] }), ProblemMalformed},
		{"zstd without its header", cut(func(b []byte) []byte { return b[:3] }), ProblemMalformed},
		{"zstd with a wrong byte", cut(func(b []byte) []byte { b[len(b)/2] ^= 0xff; return b }), ProblemMalformed},
		{"zstd with a wrong checksum", cut(func(b []byte) []byte { b[len(b)-1] ^= 0xff; return b }), ProblemMalformed},
		{"zstd that goes on", cut(func(b []byte) []byte { return append(b, b...) }), ProblemMalformed},
		{"manifest of numbers", manifestText("[0,0]"), ProblemMalformed},
		{"manifest of other files", manifestText(`{"files":[[],0]}`), ProblemMalformed},
		{"manifest that ends early", manifestText(`{"files":[`), ProblemMalformed},
		{"deep manifest", manifestText(strings.Repeat(`{"a":`, 100_000)), ProblemSizeLimit},
		{"unknown frame", raw(`H{"kind":"manifest","size":5,"encoding":"zstd"}`, "X"), ProblemMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root, err := os.OpenRoot(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			a, b := pipe()
			done := make(chan error, 1)
			go func() { done <- tt.send(t.Context(), a) }()
			_, _, err = ReceiveTree(t.Context(), b, NewDirSink(root), nil)
			b.Close()
			<-done
			var p *Problem
			if !errors.As(err, &p) || p.Code != tt.code {
				t.Fatalf("got %v, want a problem %s", err, tt.code)
			}
			entries, _ := fs.ReadDir(root.FS(), ".")
			if len(entries) > 0 {
				t.Fatalf("%s was left behind", entries[0].Name())
			}
		})
	}
}

// TestFilesWithPartialNames sends a project that uses the receiver's names for
// partial files.
func TestFilesWithPartialNames(t *testing.T) {
	for _, p := range []project{
		{".farforge-partial": "mine", "a": "a", "z": "z", ".farforge-partial-1": "too"},
		{".farforge-partial/a": "mine", "b": "b"},
	} {
		dir := t.TempDir()
		if _, sendErr, receiveErr := transfer(t, p, p.manifest(), dir); sendErr != nil || receiveErr != nil {
			t.Fatal(sendErr, receiveErr)
		}
		for name, text := range p {
			if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != text {
				t.Errorf("%s holds %q, %v", name, got, err)
			}
		}
	}
}

// TestSinkStaysInItsDirectory puts symlinks where the sink writes files.
func TestSinkStaysInItsDirectory(t *testing.T) {
	outside := t.TempDir()
	dir := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "src")); err != nil {
		t.Fatal(err)
	}
	p := project{"src/a.c": "text"}
	_, _, err := transfer(t, p, p.manifest(), dir)
	if err == nil {
		t.Fatal("a file was written through a symlink that leads out")
	}
	if entries, _ := os.ReadDir(outside); len(entries) > 0 {
		t.Fatalf("%s was written outside", entries[0].Name())
	}
}

func FuzzReceiveTree(f *testing.F) {
	f.Add([]byte(`H{"kind":"manifest","size":5,"encoding":"zstd"}`), []byte("Dhello"), []byte("E"))
	f.Fuzz(func(t *testing.T, x, y, z []byte) {
		root, err := os.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		a, b := pipe()
		for _, m := range [][]byte{x, y, z} {
			if err := a.WriteMessage(t.Context(), m[:min(len(m), MaxMessage)]); err != nil {
				t.Fatal(err)
			}
		}
		a.Close()
		if _, _, err := ReceiveTree(t.Context(), b, NewDirSink(root), nil); err == nil {
			t.Fatal("three messages made a whole tree")
		}
	})
}
