package flash

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

// usbPort is the USB Serial/JTAG unit of a chip, of which only the lines matter.
type usbPort struct {
	io.ReadWriteCloser
	moves    strings.Builder
	vid, pid uint16
}

func (p *usbPort) SetDTR(on bool) error           { return p.move("dD", on) }
func (p *usbPort) SetRTS(on bool) error           { return p.move("rR", on) }
func (p *usbPort) USBID() (vid uint16, p2 uint16) { return p.vid, p.pid }

func (p *usbPort) move(names string, on bool) error {
	if on {
		names = names[1:]
	}
	p.moves.WriteByte(names[0])
	return nil
}

// TestLinesOfEachReset: capital letters are asserted lines. The sequences are
// those of esptool's documentation of the boot modes.
func TestLinesOfEachReset(t *testing.T) {
	for _, tc := range []struct {
		name     string
		vid, pid uint16
		loader   string
	}{
		{"bridge", 0x10C4, 0xEA60, "dR Dr dr"},
		{"USB inside the chip", 0x303A, 0x1001, "dr Dr DR dR dr"},
		{"unknown", 0, 0, "dR Dr dr"},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &usbPort{vid: tc.vid, pid: tc.pid}
			if err := EnterLoader(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if got, want := p.moves.String(), strings.ReplaceAll(tc.loader, " ", ""); got != want {
				t.Errorf("%s: into the loader by %s, want %s", tc.name, got, want)
			}
			p.moves.Reset()
			if err := Restart(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if got := p.moves.String(); got != "dRdr" {
				t.Errorf("%s: restarted by %s", tc.name, got)
			}
		})
	}
	if err := Restart(t.Context(), newScript(nil)); !IsKind(err, KindPort) {
		t.Errorf("without lines: %v", err)
	}
}
