//go:build unix

package build

import (
	"fmt"
	"syscall"
)

// Low returns an error while less than reserve bytes, or hardly any files, are
// free on the file system of the workspaces.
func (w *Workspaces) Low(reserve int64) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(w.dir, &fs); err != nil {
		return fmt.Errorf("look for free disk: %w", err)
	}
	if free := int64(fs.Bavail) * int64(fs.Bsize); free < reserve {
		return fmt.Errorf("%d MiB of disk are free in %s, and %d must stay free (--disk-reserve)", free>>20, w.dir, reserve>>20)
	}
	if fs.Files > 0 && fs.Ffree < fs.Files/50 {
		return fmt.Errorf("the file system of %s has room for %d more files only", w.dir, fs.Ffree)
	}
	return nil
}
