package flash_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/common/flash/chips"
	"github.com/farforge/farforge/examples/simulated-chip/simulator"
)

// TestEveryChip identifies and flashes a simulation of each chip, whose flash is full
// of data: the flash then holds the images, and beside them what it held before.
func TestEveryChip(t *testing.T) {
	revisions := map[string]string{
		"esp8266": "v0.0", "esp32": "v3.0", "esp32s2": "v1.0", "esp32c3": "v0.3", "esp32s3": "v0.2", "esp32c2": "v1.1",
		"esp32c6": "v0.2", "esp32h2": "v1.2", "esp32p4": "v1.0", "esp32c61": "v1.0", "esp32c5": "v1.0",
	}
	if len(chips.All()) != len(revisions) {
		t.Errorf("%d chips", len(chips.All()))
	}
	for _, c := range chips.All() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				before := noisyFlash(4 << 20)
				b := newBoard(t, simulator.Config{Chip: c.Title, MAC: []byte{2, 3, 4, 5, 6, 7}, Flash: before})
				d, err := flash.Connect(t.Context(), b.port, flash.Options{Chip: c.Title, Baud: 460800})
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				info := d.Info()
				if info.Chip != c.Name || info.MAC.String() != "02:03:04:05:06:07" || info.FlashSize != 4<<20 || info.Revision.String() != revisions[c.Name] {
					t.Errorf("got %+v", info)
				}
				m, files := firmware(c.Name, 50_000)
				if _, has := c.Frequencies[m.Freq]; !has {
					m.Freq = "keep"
				}
				res, err := d.WriteMap(t.Context(), m, files, flash.WriteOptions{})
				if c.NoVerify != "" {
					if !flash.IsKind(err, flash.KindRefused) || len(differences(b.chip.Flash(), before)) > 0 {
						t.Errorf("got %v", err)
					}
					return
				}
				if err := errors.Join(err, d.Finish(t.Context(), flash.HardReset), d.Close()); err != nil {
					t.Fatal(err)
				}
				if lost := differences(b.chip.Flash(), expected(before, m, files)); len(lost) > 0 {
					t.Errorf("sectors %#x are not as they should be", lost)
				}
				if len(res.Regions) != 3 {
					t.Errorf("result %+v", res)
				}
				readUntil(t, b.port, d.Tail(), "SPI_FAST_FLASH_BOOT")
			})
		})
	}
}

// TestLockedDownChips enables each protection on each chip.
func TestLockedDownChips(t *testing.T) {
	for _, c := range chips.All() {
		for _, lock := range []string{"secure-boot", "flash-encryption", "secure-download"} {
			if c.Name == "esp8266" || c.Name == "esp32" && lock == "secure-download" {
				continue // it has none
			}
			t.Run(c.Name+" "+lock, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBoard(t, simulator.Config{Chip: c.Name, Misbehave: misbehaving(t, lock)})
					m, files := firmware(c.Name, 5_000)
					_, _, err := flashAll(t.Context(), b, flash.Options{}, m, files, flash.WriteOptions{})
					if !flash.IsKind(err, flash.KindSecurity) {
						t.Errorf("got %v", err)
					}
					untouched(t, b)
				})
			})
		}
	}
}

// TestWatchdogReset leaves the loader by the RTC's watchdog, and by RTS on a chip that
// has no use for it.
func TestWatchdogReset(t *testing.T) {
	for _, c := range chips.All() {
		synctest.Test(t, func(t *testing.T) {
			b := newBoard(t, simulator.Config{Chip: c.Name})
			d, err := flash.Connect(t.Context(), b.port, flash.Options{})
			if err != nil {
				t.Fatal(err)
			}
			b.port.SetDTR(false)
			if err := errors.Join(d.Finish(t.Context(), flash.WatchdogReset), d.Close()); err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
			said := readUntil(t, b.port, d.Tail(), "SPI_FAST_FLASH_BOOT")
			if by := strings.Contains(said, "RTCWDT"); by != (c.Watchdog != nil) {
				t.Errorf("%s said %q", c.Name, said)
			}
		})
	}
}
