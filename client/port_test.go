package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/farforge/farforge/client/monitor"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/common/flash/serialport"
)

func TestChoosePort(t *testing.T) {
	bridge := serialport.Info{Name: "/dev/ttyUSB0", USB: true, VID: 0x10c4, PID: 0xea60, Product: "CP2102", Serial: "0001"}
	own := serialport.Info{Name: "/dev/ttyACM0", USB: true, VID: 0x303a, PID: 0x1001}
	legacy := serialport.Info{Name: "/dev/ttyS0"}
	tests := []struct {
		name  string
		given string
		ports []serialport.Info
		want  string
		fault string
		hint  string
	}{
		{"named", "tcp://127.0.0.1:1", []serialport.Info{bridge, own}, "tcp://127.0.0.1:1", "", ""},
		{"named and missing", "/dev/ttyNONE", nil, "", "there is no port /dev/ttyNONE", ""},
		{"the only one on USB", "", []serialport.Info{bridge, legacy}, bridge.Name, "", ""},
		{"macOS has each twice", "", []serialport.Info{{Name: "/dev/cu.usbserial-1"}, {Name: "/dev/tty.usbserial-1"}}, "/dev/cu.usbserial-1", "", ""},
		{"none", "", nil, "", "no board was found", "plug the board in"},
		{"none on USB", "", []serialport.Info{legacy}, "", "no board was found", "/dev/ttyS0"},
		{"several", "", []serialport.Info{bridge, own}, "", "2 serial ports may have the board", "/dev/ttyUSB0  CP2102  10c4:ea60  serial number 0001"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := choosePort(tt.given, func() ([]serialport.Info, error) { return tt.ports, nil })
			if got != tt.want || (tt.fault == "") != (err == nil) {
				t.Fatalf("got %q, %v", got, err)
			}
			if err == nil {
				return
			}
			var e *cli.Error
			if !errors.As(err, &e) || e.Exit != cli.Serial || !strings.Contains(err.Error(), tt.fault) || !strings.Contains(strings.Join(e.Hints, "\n"), tt.hint) {
				t.Errorf("got %v, hints %q", err, e.Hints)
			}
		})
	}
}

func TestBoardErrorsHaveTheirExitCodes(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want cli.Exit
	}{
		{nil, cli.Done},
		{&flash.Error{Kind: flash.KindSilent, Msg: "x"}, cli.Serial},
		{fmt.Errorf("y: %w", &flash.Error{Kind: flash.KindVerify, Msg: "x"}), cli.Verification},
		{&flash.Error{Kind: flash.KindOption, Msg: "x"}, cli.Usage},
		{fmt.Errorf("stopped: %w", context.Canceled), cli.Interrupted},
		{monitor.ErrNotSeen, cli.Verification},
		{errors.New("x"), cli.Serial},
		{cli.Failf(cli.Usage, "x"), cli.Usage},
	} {
		if got := cli.Code(boardError(tt.err)); got != tt.want {
			t.Errorf("%v: exit code %d, want %d", tt.err, got, tt.want)
		}
	}
}
