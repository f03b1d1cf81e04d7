//go:build unix && !linux

package serialport

import (
	"os"
	"syscall"
)

// lockName locks the named device until unlock is called.
func lockName(name string) (unlock func() error, err error) {
	f, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		f.Close()
		return nil, err
	}
	return f.Close, nil
}
