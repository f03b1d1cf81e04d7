package flash

import "io"

// Port is a line to a board: a serial device, a socket, a pseudo-terminal, a simulation.
// It may have the interfaces below. A port without modem lines works if the board is in
// download mode already. Package portio describes how a Read is ended.
type Port = io.ReadWriteCloser

// modemLines drive a board's reset and boot pins through its auto-reset
// circuit. True asserts a line, which pulls its pin low.
type modemLines interface {
	SetDTR(bool) error
	SetRTS(bool) error
}

// rateSetter changes the speed of the line at this end.
type rateSetter interface{ SetBaudRate(int) error }

// usbDevice returns the USB ids of a port, or zeroes if it is not a USB device.
type usbDevice interface{ USBID() (vid, pid uint16) }

// Espressif's USB Serial/JTAG unit, which is inside the chip.
const (
	usbEspressif  = 0x303A
	usbSerialJTAG = 0x1001
)

func isUSBSerialJTAG(p Port) bool {
	u, ok := p.(usbDevice)
	if !ok {
		return false
	}
	vid, pid := u.USBID()
	return vid == usbEspressif && pid == usbSerialJTAG
}

// DefaultBaud is the rate at which every ROM starts.
const DefaultBaud = 115200
