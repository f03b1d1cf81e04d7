package serialport

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
)

// Info describes a port that could be opened.
type Info struct {
	Name     string // what Open takes
	USB      bool   // VID and PID are known
	VID, PID uint16
	Serial   string // the USB device's serial number, may be empty
	Product  string // what the device calls itself, may be empty
}

// List returns the serial ports of this machine, those on USB first, as boards
// nearly always are there.
func List() ([]Info, error) {
	ports, err := list()
	if err != nil {
		return nil, fmt.Errorf("listing the serial ports: %w", err)
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
