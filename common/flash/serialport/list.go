package serialport

import (
	"cmp"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/farforge/farforge/common/flash"
)

// Info describes a port that could be opened.
type Info struct {
	Name     string // the name for Open
	USB      bool   // VID and PID are known
	VID, PID uint16
	Serial   string // the USB device's serial number, may be empty
	Product  string // the USB device's product name, may be empty
}

// List returns the serial ports of this machine. Those on USB, where nearly all
// boards are, come first. Errors are of flash.KindPort.
func List() ([]Info, error) {
	ports, err := list()
	if err != nil {
		return nil, &flash.Error{Kind: flash.KindPort, Msg: "cannot list the serial ports", Err: err}
	}
	slices.SortFunc(ports, func(a, b Info) int {
		if a.USB != b.USB {
			if a.USB {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return ports, nil
}

// describe finds a port in the list, also by a symbolic link such as those in
// /dev/serial/by-id.
func describe(name string) (Info, bool) {
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real
	}
	ports, err := list()
	if err != nil {
		return Info{}, false
	}
	i := slices.IndexFunc(ports, func(p Info) bool { return p.Name == name })
	if i < 0 {
		return Info{}, false
	}
	return ports[i], true
}

func usbID(s string) uint16 {
	n, err := strconv.ParseUint(s, 16, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}
