// Package serialport opens serial ports for the flasher and the monitor. It adds to
// go.bug.st/serial reads and writes that can be interrupted, and offers modem lines only
// for devices that have them.
//
// A read or write ends at its deadline without the port being closed: closing
// a serial port moves the modem lines, which resets most boards.
package serialport

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"time"

	"go.bug.st/serial"
)

// The reasons for a failed Open that a user can do something about.
var (
	ErrBusy       = errors.New("another program has the port open")
	ErrPermission = errors.New("no permission to open the port")
	ErrNotFound   = errors.New("there is no such port")
)

// stream carries the bytes of a port.
type stream interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Port is an open serial port. One goroutine may read while another writes and
// a third sets deadlines; Close may be called at any time.
type Port struct {
	port     serial.Port
	data     stream
	vid, pid uint16
}

// ModemPort is a Port whose device has the lines DTR and RTS, which a pseudo-terminal
// does not have.
type ModemPort struct{ *Port }

// openDevice opens the named device at the given rate, 8N1, without flow control.
// It returns a *ModemPort if the device has modem lines and a *Port otherwise.
func openDevice(name string, baud int) (io.ReadWriteCloser, error) {
	attach, err := openStream(name)
	if err != nil {
		return nil, openError(err)
	}
	p, err := serial.Open(name, &serial.Mode{BaudRate: baud, DataBits: 8})
	if err != nil {
		attach(nil)
		return nil, openError(err)
	}
	out := &Port{port: p, data: attach(p)}
	if d, ok := describe(name); ok {
		out.vid, out.pid = d.VID, d.PID
	}
	if _, err := p.GetModemStatusBits(); err != nil {
		return out, nil
	}
	return &ModemPort{out}, nil
}

func openError(err error) error {
	var pe *serial.PortError
	if errors.As(err, &pe) {
		switch pe.Code() {
		case serial.PortBusy:
			return ErrBusy
		case serial.PermissionDenied:
			return ErrPermission
		case serial.PortNotFound:
			return ErrNotFound
		case serial.InvalidSerialPort:
			return fmt.Errorf("it is not a serial port: %w", err)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrNotFound
	case errors.Is(err, fs.ErrPermission):
		return ErrPermission
	case errors.Is(err, syscall.EBUSY):
		return ErrBusy
	}
	return err
}

// Read waits for at least one byte, and returns the bytes that have arrived. It fails
// with os.ErrDeadlineExceeded at the time set by SetReadDeadline.
func (p *Port) Read(b []byte) (int, error) { return p.data.Read(b) }

// Write sends all of b, or returns an error.
func (p *Port) Write(b []byte) (int, error) { return p.data.Write(b) }

// SetReadDeadline ends this and later reads at t; the zero time lifts it. It may take
// effect 50 ms late.
func (p *Port) SetReadDeadline(t time.Time) error { return p.data.SetReadDeadline(t) }

// SetWriteDeadline ends writes at t; the zero time lifts it. Outside Linux
// only a time in the past has an effect, on the write under way.
func (p *Port) SetWriteDeadline(t time.Time) error { return p.data.SetWriteDeadline(t) }

// SetBaudRate changes the line's speed.
func (p *Port) SetBaudRate(baud int) error {
	return p.port.SetMode(&serial.Mode{BaudRate: baud, DataBits: 8})
}

// USBID returns the USB vendor and product, or zeroes when they are not known.
func (p *Port) USBID() (vid, pid uint16) { return p.vid, p.pid }

// Close closes the port. A blocked Read or Write returns with an error.
func (p *Port) Close() error { return errors.Join(p.data.Close(), p.port.Close()) }

// SetDTR sets the line Data Terminal Ready; true pulls it low.
func (p *ModemPort) SetDTR(on bool) error { return p.port.SetDTR(on) }

// SetRTS sets the line Request To Send; true pulls it low.
func (p *ModemPort) SetRTS(on bool) error { return p.port.SetRTS(on) }
