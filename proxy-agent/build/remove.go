package build

import (
	"fmt"
	"io/fs"
	"os"
)

// removeTree removes dir, also where a build has taken away its own right to do
// so, however deep. It follows no symlink.
func removeTree(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	_ = os.Chmod(dir, 0o700) // its name is ours, and nobody else's to give away
	if root, err := os.OpenRoot(dir); err == nil {
		flatten(root)
		root.Close()
	}
	return os.RemoveAll(dir) // which says what could not be done
}

// flatten moves all folders below root to its top and gives back the right to
// remove what is in them. So no path gets too long for the system, and no more
// folders are open at a time than two. What cannot be done shows when the tree is
// removed.
func flatten(root *os.Root) {
	moved := 0
	for {
		names := folders(root, ".")
		if len(names) == 0 {
			return
		}
		for _, top := range names {
			if root.Chmod(top, 0o700) != nil {
				return
			}
			for {
				below := folders(root, top)
				if len(below) == 0 {
					break
				}
				for _, name := range below {
					moved++
					name = top + "/" + name
					// Moving changes the folder, too: it says where its parent is.
					if root.Chmod(name, 0o700) != nil || root.Rename(name, fmt.Sprintf("farforge-moved-%d", moved)) != nil {
						return
					}
				}
			}
			if root.RemoveAll(top) != nil {
				return
			}
		}
	}
}

// folders lists some of the folders in a folder, and none only if there are none
// that can be seen.
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
