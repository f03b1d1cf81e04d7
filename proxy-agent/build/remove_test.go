package build

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestRemovesLockedFolders(t *testing.T) {
	ws := newWorkspace(t)
	write(t, filepath.Join(ws.Dir, "a/b/c"), "x")
	for _, dir := range []string{"a/b", "a"} {
		if err := os.Chmod(filepath.Join(ws.Dir, dir), 0); err != nil {
			t.Fatal(err)
		}
	}
	// The cleanup of newWorkspace closes it and checks that it is removed.
	if os.Getuid() != 0 {
		if err := os.RemoveAll(ws.Dir); err == nil {
			t.Error("this test removes nothing that is hard to remove")
		}
	}
}

// TestRemovesDeepFolders nests folders until their path is too long for the
// system, and locks the last ones.
func TestRemovesDeepFolders(t *testing.T) {
	for _, lockedFrom := range []int{0, 299} {
		dir := filepath.Join(t.TempDir(), "tree")
		outside := filepath.Join(t.TempDir(), "outside")
		write(t, filepath.Join(outside, "file"), "x")
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(outside, 0o750)); err != nil {
			t.Fatal(err)
		}
		dig(t, dir, 300, lockedFrom, outside)
		if os.Getuid() != 0 && os.RemoveAll(dir) == nil {
			t.Error("this test removes nothing that is hard to remove")
		}
		if err := removeTree(dir); err != nil {
			t.Errorf("locked from %d on: %.200v", lockedFrom, err)
		}
		if _, err := os.Lstat(dir); !os.IsNotExist(err) {
			t.Errorf("locked from %d on, it is still there", lockedFrom)
		}
		if info, err := os.Stat(outside); err != nil || info.Mode().Perm() != 0o750 {
			t.Errorf("the target of a link is %v, %v", info, err)
		}
		if _, err := os.Stat(filepath.Join(outside, "file")); err != nil {
			t.Error(err)
		}
	}
}

// TestRemovesFoldersWithItsNames makes folders with the names that a removal could
// move folders to, so that nothing can be moved there.
func TestRemovesFoldersWithItsNames(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	for i := range 40 {
		for _, at := range []string{"", "deep/er/"} {
			for _, name := range []string{fmt.Sprintf("farforge-moved-%d", i), fmt.Sprint(i), fmt.Sprintf("%s%d", workspacePrefix, i)} {
				write(t, filepath.Join(dir, at+name, "below", "file"), "x")
				for _, lock := range []string{at + name + "/below", at + name} {
					if err := os.Chmod(filepath.Join(dir, lock), 0o500); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	dig(t, filepath.Join(dir, "deep"), 300, 100, t.TempDir()) // root cannot remove it at once, either
	if err := removeTree(dir); err != nil {
		t.Errorf("%.300v", err)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Error("it is still there")
	}
}

// TestUnprivilegedRemoval runs this file's tests again as a user without rights.
func TestUnprivilegedRemoval(t *testing.T) {
	asNobody(t, "Removes|Leftovers")
}

// dig makes nested folders, each with a file, a link that leads out and
// three empty folders beside the next.
func dig(t *testing.T, dir string, depth, lockedFrom int, outside string) {
	t.Helper()
	at, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range depth {
		err := errors.Join(at.Mkdir("deeper-and-deeper", 0o700), at.WriteFile("file", nil, 0o600), at.Symlink(outside, "link"))
		for n := range 3 {
			err = errors.Join(err, at.Mkdir(fmt.Sprint("beside", n), 0))
		}
		next, openErr := at.OpenRoot("deeper-and-deeper")
		if err = errors.Join(err, openErr); err != nil {
			t.Fatal(err)
		}
		if i >= lockedFrom {
			if err := at.Chmod(".", 0); err != nil {
				t.Fatal(err)
			}
		}
		at.Close()
		at = next
	}
	at.Close()
}
