//go:build unix

package serialport

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lock takes the advisory lock of a device, which pyserial's exclusive mode and other
// tools take too. It ends when the file is closed.
func lock(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	err = conn.Control(func(fd uintptr) { lockErr = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(lockErr, unix.EWOULDBLOCK) {
		return ErrBusy
	}
	// Some file systems and devices have no locks; TIOCEXCL still keeps other programs
	// out.
	if errors.Is(lockErr, unix.ENOTSUP) || errors.Is(lockErr, unix.EINVAL) {
		return err
	}
	return errors.Join(err, lockErr)
}
