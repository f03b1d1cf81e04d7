package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/farforge/farforge/common/wholefile"
)

func TestAnotherFileOfTheSameSizeIsAChange(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.WriteFile(real, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", link); err != nil {
		t.Fatal(err)
	}
	_, before, err := Read(link, 10)
	if err != nil || before.Changed(link) {
		t.Fatalf("a file that was just read has changed: %v", err)
	}
	if err := wholefile.Replace(link, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !before.Changed(link) {
		t.Error("another file of the same size does not count as a change")
	}
	data, v, err := Read(real, 10)
	if err != nil || string(data) != "new" || v.Mode().Perm() != 0o640 {
		t.Errorf("%q, %v, %v", data, v.Mode(), err)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	if err := wholefile.Create(path, []byte("12345"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Read(path, 4); !errors.Is(err, ErrTooLong) {
		t.Errorf("too long: %v", err)
	}
	if _, _, err := Read(dir, 4); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("a folder: %v", err)
	}
	if _, _, err := ReadSecret(path, 5); err == nil || !strings.Contains(err.Error(), "has mode 0644, others can read it; run: chmod 600 "+path) {
		t.Errorf("readable: %v", err)
	}
	_, v, err := Read(path, 5)
	if err := errors.Join(err, os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	if !v.Changed(path) || (Version{}).Changed(path) {
		t.Error("a missing file does not count as a change")
	}
	if _, _, err := Read(path, 5); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// Concurrent edits of one file lose no change.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "count")
	if err := wholefile.Create(path, []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for range 8 {
		wg.Go(func() {
			for range 10 {
				if err := increment(path); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		t.Fatal(err)
	default:
	}
	if data, _, err := ReadSecret(path, 10); err != nil || string(data) != "80" {
		t.Errorf("%s, %v", data, err)
	}
}

func increment(path string) error {
	unlock, err := Lock(path)
	if err != nil {
		return err
	}
	defer unlock()
	data, _, err := Read(path, 10)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(string(data))
	if err != nil {
		return err
	}
	return wholefile.Replace(path, fmt.Append(nil, n+1), 0o600)
}
