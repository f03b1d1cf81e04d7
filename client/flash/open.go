package flash

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/farforge/farforge/client/flash/serialport"
)

// DefaultBaud is the rate at which every ROM begins to talk.
const DefaultBaud = 115200

// OpenPort opens a board's port. The name is a serial device ("/dev/ttyUSB0",
// "COM3") or "tcp://host:port", a raw socket to a board or a simulation, which
// has no modem lines and no rate. Zero for baud means DefaultBaud.
func OpenPort(ctx context.Context, name string, baud int) (Port, error) {
	if baud == 0 {
		baud = DefaultBaud
	}
	if address, ok := strings.CutPrefix(name, "tcp://"); ok {
		d := net.Dialer{Timeout: 10 * time.Second}
		c, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, portError(name, err, "check that something listens at "+address)
		}
		return c, nil
	}
	p, err := serialport.Open(name, baud)
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, serialport.ErrBusy):
		return nil, portError(name, err, "close the monitor or the program that uses it, and try again")
	case errors.Is(err, serialport.ErrPermission):
		return nil, portError(name, err, "add your user to the group that owns the port (often dialout or uucp), then log in again")
	case errors.Is(err, serialport.ErrNotFound):
		return nil, portError(name, err, "plug the board in with a cable that carries data; then look at the list of ports")
	}
	return nil, portError(name, err, "")
}

func portError(name string, err error, hint string) error {
	return &Error{Kind: KindPort, Msg: "cannot open port " + name, Err: err, Hint: hint}
}

// PortInfo describes a serial port of this machine.
type PortInfo = serialport.Info

// ListPorts returns the serial ports of this machine, USB ones first.
func ListPorts() ([]PortInfo, error) {
	ports, err := serialport.List()
	if err != nil {
		return nil, &Error{Kind: KindPort, Msg: "cannot list the ports", Err: err}
	}
	return ports, nil
}
