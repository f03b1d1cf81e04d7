//go:build darwin && !cgo

package serialport

import "go.bug.st/serial"

// list returns names only: USB details on macOS need cgo.
func list() ([]Info, error) {
	names, err := serial.GetPortsList()
	if err != nil {
		return nil, err
	}
	out := make([]Info, 0, len(names))
	for _, n := range names {
		out = append(out, Info{Name: n})
	}
	return out, nil
}
