package serialport

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/farforge/farforge/common/flash"
)

// Open opens a board's port. The name is a serial device ("/dev/ttyUSB0", "COM3")
// or "tcp://host:port", a raw socket to a board or a simulation, which has neither
// modem lines nor a rate. Zero for baud means flash.DefaultBaud. The returned port
// has SetDTR and SetRTS if the device has modem lines. Errors are of KindPort and
// wrap ErrBusy, ErrPermission or ErrNotFound where they apply.
func Open(ctx context.Context, name string, baud int) (flash.Port, error) {
	if baud == 0 {
		baud = flash.DefaultBaud
	}
	if address, ok := strings.CutPrefix(name, "tcp://"); ok {
		d := net.Dialer{Timeout: 10 * time.Second}
		c, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, portError(name, err, "check that something listens at "+address)
		}
		return c, nil
	}
	p, err := openDevice(name, baud)
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, ErrBusy):
		return nil, portError(name, err, "close the monitor or the program that uses it, and try again")
	case errors.Is(err, ErrPermission):
		return nil, portError(name, err, "add your user to the group that owns the port (often dialout or uucp), then log in again")
	case errors.Is(err, ErrNotFound):
		return nil, portError(name, err, "plug the board in with a cable that carries data; then look at the list of ports")
	}
	return nil, portError(name, err, "")
}

// Reopener returns a function that opens the named port again after it went away. A USB
// device that returns under another name is found by its serial number. For a socket
// Reopener returns nil: its far end has ended the connection.
func Reopener(name string, baud int) func(context.Context) (flash.Port, error) {
	if strings.Contains(name, "://") {
		return nil
	}
	was, _ := describe(name)
	return func(ctx context.Context) (flash.Port, error) {
		p, err := Open(ctx, name, baud)
		if err == nil || was.Serial == "" || !errors.Is(err, ErrNotFound) {
			return p, err
		}
		ports, listErr := list()
		if listErr != nil {
			return nil, err
		}
		for _, now := range ports {
			if now.VID == was.VID && now.PID == was.PID && now.Serial == was.Serial {
				return Open(ctx, now.Name, baud)
			}
		}
		return nil, err
	}
}

func portError(name string, err error, hint string) error {
	return &flash.Error{Kind: flash.KindPort, Msg: "cannot open port " + name, Err: err, Hint: hint}
}
