//go:build !darwin || cgo

package serialport

import "go.bug.st/serial/enumerator"

func list() ([]Info, error) {
	details, err := enumerator.GetDetailedPortsList()
	if err != nil {
		return nil, err
	}
	out := make([]Info, 0, len(details))
	for _, d := range details {
		out = append(out, Info{
			Name: d.Name, USB: d.IsUSB, VID: usbID(d.VID), PID: usbID(d.PID),
			Serial: d.SerialNumber, Product: d.Product,
		})
	}
	return out, nil
}
