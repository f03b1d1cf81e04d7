//go:build unix

package disk

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

func ownedByRoot(v Version) bool {
	if v.info == nil {
		return false
	}
	owner, ok := v.info.Sys().(*syscall.Stat_t)
	return ok && owner.Uid == 0
}

// Lock waits until no other process holds the lock on the file's folder.
func Lock(path string) (unlock func(), err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	f, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err == nil {
			return func() { _ = f.Close() }, nil // which unlocks
		}
		if !errors.Is(err, syscall.EINTR) {
			_ = f.Close()
			return nil, err
		}
	}
}
