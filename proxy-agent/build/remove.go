package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// removeTree removes dir, however deep it is, and even if a build has taken away
// its own right to do so. It follows no symlink.
func removeTree(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	_ = os.Chmod(dir, 0o700) // the agent made it, so no other user can have replaced it
	if err := flatten(dir); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	return os.RemoveAll(dir)
}

// flatten moves all folders below dir into a fresh folder beside it, one by one,
// restores the right to remove their contents, and removes them there. So no
// path gets too long for the system, and few folders are open at a time. No name
// in the fresh folder can be taken: the build had no access to it.
func flatten(dir string) error {
	parent, name := filepath.Split(filepath.Clean(dir))
	root, err := os.OpenRoot(parent)
	if err != nil {
		return err
	}
	defer root.Close()
	trash, err := os.MkdirTemp(parent, workspacePrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(trash)
	fresh := filepath.Base(trash)
	moved, removed := 0, 0
	place := func(n int) string { return fmt.Sprintf("%s/%d", fresh, n) }
	// move empties a folder of folders.
	move := func(from string) error {
		for {
			names := folders(root, from)
			if len(names) == 0 {
				return nil
			}
			for _, name := range names {
				name = from + "/" + name
				// Moving changes the folder, too: it has an entry for its parent.
				if err := errors.Join(root.Chmod(name, 0o700), root.Rename(name, place(moved))); err != nil {
					return err
				}
				moved++
			}
		}
	}
	if err := move(name); err != nil {
		return err
	}
	for ; removed < moved; removed++ {
		at := place(removed)
		if err := errors.Join(move(at), root.RemoveAll(at)); err != nil {
			return err
		}
	}
	return nil
}

// folders lists some of the folders in a folder. It returns none only if it can
// see none.
func folders(root *os.Root, path string) (names []string) {
	f, err := root.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	for len(names) == 0 && err == nil {
		var entries []fs.DirEntry
		entries, err = f.ReadDir(256)
		for _, e := range entries {
			if e.IsDir() {
				names = append(names, e.Name())
			}
		}
	}
	return names
}
