//go:build unix

package wholefile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// syncFolder makes changes of a folder's entries permanent. Some network file systems
// always do that and cannot sync folders.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// keepOwner gives the file the owner of the old one. Only root may do that; a file that
// another user replaces gets that user, as with every editor.
func keepOwner(f *os.File, old fs.FileInfo) {
	if old == nil {
		return
	}
	if owner, ok := old.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(int(owner.Uid), int(owner.Gid))
	}
}
