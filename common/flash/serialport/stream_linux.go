package serialport

import (
	"os"
	"syscall"

	"go.bug.st/serial"
)

// openStream opens the device a second time, beside the serial library, which sets it up
// and owns its lines. The Go runtime polls this descriptor, so deadlines end a read, and
// a write that the device does not take. It is opened before the library locks the
// device.
func openStream(name string) (func(serial.Port) stream, error) {
	f, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		f.Close()
		return nil, err
	}
	return func(p serial.Port) stream {
		if p == nil {
			f.Close()
		}
		return f
	}, nil
}
