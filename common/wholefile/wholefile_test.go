package wholefile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// ways are the functions that replace a file.
var ways = map[string]func(string, []byte, fs.FileMode) error{"write": Write, "replace": Replace}

// holds checks the contents and mode of a file, and that its folder holds no others but
// these.
func holds(t *testing.T, path, text string, mode fs.FileMode, others ...string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || string(data) != text {
		t.Errorf("it holds %q, %v; want %q", data, err, text)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != mode {
		t.Errorf("%v, %v; want the mode %v", info, err, mode)
	}
	alone(t, filepath.Dir(path), append(others, filepath.Base(path))...)
}

func alone(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(names) {
		t.Errorf("the folder holds %v, %v; want %v", entries, err, names)
	}
}

func TestLinks(t *testing.T) {
	for name, want := range map[string]struct {
		real string
		mode fs.FileMode // of the file at the end of the link
		link bool
	}{
		"write":   {"old", 0o600, false},
		"replace": {"new", 0o604, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			link, real := filepath.Join(dir, "link"), filepath.Join(dir, "below", "real")
			err := errors.Join(os.Mkdir(filepath.Dir(real), 0o700), Write(real, []byte("old"), 0o604), os.Symlink("below/real", link))
			if err != nil {
				t.Fatal(err)
			}
			if err := ways[name](link, []byte("new"), 0o600); err != nil {
				t.Fatal(err)
			}
			holds(t, real, want.real, 0o604)
			holds(t, link, "new", want.mode, "below")
			if info, err := os.Lstat(link); err != nil || (info.Mode()&fs.ModeSymlink != 0) != want.link {
				t.Errorf("%v, %v; want a link: %v", info, err, want.link)
			}
		})
	}
}

func TestLinkToNothing(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink("nothing", link); err != nil {
		t.Fatal(err)
	}
	if err := Replace(link, nil, 0o600); err == nil || !strings.Contains(err.Error(), "does not exist; make that file, or remove the link") {
		t.Errorf("replaced: %v", err)
	}
	if err := Create(link, nil, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created: %v", err)
	}
	alone(t, dir, "link")
	if err := Write(link, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	holds(t, link, "new", 0o600)
}

func TestReplaceKeepsTheMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, step := range []struct {
		write     func(string, []byte, fs.FileMode) error
		mode, got fs.FileMode
	}{
		{Replace, 0o640, 0o640}, // there is none yet
		{Replace, 0o600, 0o640},
		{Write, 0o600, 0o600},
		{Replace, 0o644, 0o600},
	} {
		if err := step.write(path, []byte("x"), step.mode); err != nil {
			t.Fatal(err)
		}
		holds(t, path, "x", step.got)
	}
}

func TestCreateNeverOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for range cap(errs) {
		wg.Go(func() { errs <- Create(path, []byte("new"), 0o640) })
	}
	wg.Wait()
	close(errs)
	made := 0
	for err := range errs {
		switch {
		case err == nil:
			made++
		case !errors.Is(err, fs.ErrExist):
			t.Error(err)
		}
	}
	if made != 1 {
		t.Errorf("%d made the same file", made)
	}
	holds(t, path, "new", 0o640)
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := errors.Join(Create(path, nil, 0o600), Remove(path), Remove(path)); err != nil {
		t.Error(err)
	}
	alone(t, dir)
}

// TestFailures: a failure, here of the last step, leaves the old file.
func TestFailures(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, write := range ways {
		if err := write(filepath.Join(dir, "missing", "file"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s into a missing folder: %v", name, err)
		}
		if err := write(folder, []byte("x"), 0o600); err == nil {
			t.Errorf("%s in the place of a folder", name)
		}
		alone(t, dir, "folder")
		alone(t, folder)
	}
	if err := Remove(dir); err == nil {
		t.Error("a folder with something in it was removed")
	}
}

// TestTemporaryName: the name of a temporary file differs from those of other files, so
// that a program can remove the files that a crash has left.
func TestTemporaryName(t *testing.T) {
	dir := t.TempDir()
	err := write(filepath.Join(dir, "keys"), []byte("secret"), 0o644, nil, func(from, _ string) error {
		if base := filepath.Base(from); filepath.Dir(from) != dir || !strings.HasPrefix(base, ".keys.") {
			t.Errorf("it is called %s", from)
		}
		if data, err := os.ReadFile(from); err != nil || string(data) != "secret" {
			t.Errorf("it is not whole when it gets its name: %q, %v", data, err)
		}
		return errors.New("out of luck")
	})
	if err == nil || err.Error() != "out of luck" {
		t.Error(err)
	}
	alone(t, dir)
}

// TestReadersSeeItWhole: readers without a lock get one version whole while several
// processes write.
func TestReadersSeeItWhole(t *testing.T) {
	for name, put := range ways {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			versions := [][]byte{bytes.Repeat([]byte("a"), 300<<10), bytes.Repeat([]byte("b"), 200<<10), {}}
			if err := put(path, versions[0], 0o600); err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			var readers, writers sync.WaitGroup
			for range 2 {
				readers.Go(func() {
					for more := true; more; {
						select {
						case <-done:
							more = false
						default:
						}
						data, err := os.ReadFile(path)
						if err != nil || !oneOf(versions, data) {
							t.Errorf("a reader sees %d bytes that no writer has written, %v", len(data), err)
							return
						}
					}
				})
			}
			for i := range versions {
				writers.Go(func() {
					for range 20 {
						if err := put(path, versions[i], 0o600); err != nil {
							t.Error(err)
						}
					}
				})
			}
			writers.Wait()
			close(done)
			readers.Wait()
			alone(t, filepath.Dir(path), "file")
		})
	}
}

// TestKilled: a process that is killed while it writes leaves a whole file, and at most
// the temporary files that the package comment names.
func TestKilled(t *testing.T) {
	if path := os.Getenv("WHOLEFILE_TEST_PATH"); path != "" {
		for i := 0; ; i++ { // until killed
			if err := Replace(path, bytes.Repeat([]byte{"ab"[i%2]}, 100<<10), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	versions := [][]byte{bytes.Repeat([]byte("a"), 100<<10), bytes.Repeat([]byte("b"), 100<<10)}
	for range 5 {
		if err := Remove(path); err != nil {
			t.Fatal(err)
		}
		writer := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$", "-test.timeout=1m")
		writer.Env = append(os.Environ(), "WHOLEFILE_TEST_PATH="+path)
		if err := writer.Start(); err != nil {
			t.Fatal(err)
		}
		for start := time.Now(); ; time.Sleep(time.Millisecond) { // kill it once it has written; it never stops writing
			if _, err := os.Stat(path); err == nil {
				break
			}
			if time.Since(start) > time.Minute {
				t.Fatal("it never writes")
			}
		}
		err := writer.Process.Kill()
		writer.Wait()
		if data, e := os.ReadFile(path); err != nil || e != nil || !oneOf(versions, data) {
			t.Fatalf("%d bytes are left, %v, %v", len(data), err, e)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "file" && !strings.HasPrefix(e.Name(), ".file.") {
			t.Errorf("%s is left", e.Name())
		}
	}
}

func oneOf(versions [][]byte, data []byte) bool {
	for _, v := range versions {
		if bytes.Equal(v, data) {
			return true
		}
	}
	return false
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{"": "", "a\n": "a\n", "\ufeffa": "a", "\ufeff\ufeffa": "\ufeffa", "a\ufeff": "a\ufeff"} {
		if got, err := Text([]byte(in)); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"\xff\xfea\x00", "\xfe\xff\x00a"} {
		if _, err := Text([]byte(in)); !errors.Is(err, ErrUTF16) {
			t.Errorf("%q: %v", in, err)
		}
	}
}
