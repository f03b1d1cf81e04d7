package flash_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"

	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/common/flashmap"
	"github.com/farforge/farforge/examples/simulated-chip/simulator"
)

// TestRefusedBeforeAByteIsWritten has firmware and boards that do not fit each
// other. In each case the flash must stay as it was.
func TestRefusedBeforeAByteIsWritten(t *testing.T) {
	type change func(m *flashmap.Map, files fstest.MapFS)
	for _, tc := range []struct {
		name, chip, misbehave string
		flash                 int
		change                change
		kind                  flash.Kind
		want                  string
	}{
		{name: "secure boot", chip: "esp32c3", misbehave: "secure-boot", kind: flash.KindSecurity, want: "secure boot is on"},
		{name: "secure boot", chip: "esp32", misbehave: "secure-boot", kind: flash.KindSecurity, want: "secure boot is on"},
		{name: "encryption", chip: "esp32c3", misbehave: "flash-encryption", kind: flash.KindSecurity, want: "flash encryption is on"},
		{name: "encryption", chip: "esp32", misbehave: "flash-encryption", kind: flash.KindSecurity, want: "flash encryption is on"},
		{name: "secure download", chip: "esp32c3", misbehave: "secure-download", kind: flash.KindSecurity, want: "secure download mode is on"},
		{name: "map for another chip", chip: "esp32c3", kind: flash.KindFirmware, want: "this firmware is for esp32, the board is esp32c3",
			change: func(m *flashmap.Map, _ fstest.MapFS) { m.Chip = "esp32" }},
		{name: "app for another chip", chip: "esp32c3", kind: flash.KindFirmware, want: "this firmware is for esp32, the board is esp32c3",
			change: func(m *flashmap.Map, f fstest.MapFS) { m.Chip = ""; f["app.bin"].Data = makeImage("esp32", 100, true) }},
		{name: "app for a chip that is not supported", chip: "esp32", kind: flash.KindFirmware, want: "this firmware is for esp32s3, the board is esp32",
			change: func(m *flashmap.Map, f fstest.MapFS) {
				f["app.bin"].Data = makeImage("esp32", 100, false)
				binary.LittleEndian.PutUint16(f["app.bin"].Data[12:], 9)
			}},
		{name: "newer silicon wanted", chip: "esp32c3", kind: flash.KindFirmware, want: "needs a chip of revision v1.1 or later, the board's is v0.3",
			change: func(m *flashmap.Map, f fstest.MapFS) {
				f["app.bin"].Data = makeImage("esp32c3", 100, false)
				binary.LittleEndian.PutUint16(f["app.bin"].Data[15:], 101)
			}},
		{name: "app beyond the flash", chip: "esp32c3", flash: 1 << 20, kind: flash.KindFirmware, want: "app at 0x10000 does not fit: it ends at 0x1",
			change: func(m *flashmap.Map, f fstest.MapFS) { f["app.bin"].Data = makeImage("esp32c3", 1<<20-100, true) }},
		{name: "app larger than the flash", chip: "esp32", flash: 1 << 20, kind: flash.KindFirmware, want: "app at 0x10000 does not fit: it has 2 MiB, the board's flash 1 MiB",
			change: func(m *flashmap.Map, f fstest.MapFS) { f["app.bin"].Data = make([]byte, 2<<20) }},
		{name: "overlap", chip: "esp32c3", kind: flash.KindFirmware, want: "reaches into partition-table at 0x8000",
			change: func(m *flashmap.Map, f fstest.MapFS) {
				f["bootloader/bootloader.bin"].Data = makeImage("esp32c3", 0x8000, true)
			}},
		{name: "damaged bootloader", chip: "esp32c3", kind: flash.KindFirmware, want: "bootloader at 0x0 is damaged",
			change: func(m *flashmap.Map, f fstest.MapFS) { f["bootloader/bootloader.bin"].Data[500] ^= 1 }},
		{name: "bootloader cut short", chip: "esp32", kind: flash.KindFirmware, want: "cut short",
			change: func(m *flashmap.Map, f fstest.MapFS) {
				f["bootloader/bootloader.bin"].Data = f["bootloader/bootloader.bin"].Data[:9000]
			}},
		{name: "missing file", chip: "esp32c3", kind: flash.KindFirmware, want: "the file for app at 0x10000 is missing: app.bin",
			change: func(m *flashmap.Map, f fstest.MapFS) { delete(f, "app.bin") }},
		{name: "empty file", chip: "esp32c3", kind: flash.KindFirmware, want: "is empty",
			change: func(m *flashmap.Map, f fstest.MapFS) { f["app.bin"].Data = nil }},
		{name: "folder for a file", chip: "esp32c3", kind: flash.KindFirmware, want: "is not a file",
			change: func(m *flashmap.Map, f fstest.MapFS) { m.Images[2].Path = "bootloader" }},
		{name: "encrypted image", chip: "esp32c3", kind: flash.KindSecurity, want: "to be encrypted",
			change: func(m *flashmap.Map, f fstest.MapFS) { m.Images[2].Encrypted = true }},
		{name: "map without images", chip: "esp32c3", kind: flash.KindFirmware, want: "no image to flash",
			change: func(m *flashmap.Map, f fstest.MapFS) { m.Images = nil }},
		{name: "odd flash mode", chip: "esp32c3", kind: flash.KindFirmware, want: `"opi" is not a flash mode`,
			change: func(m *flashmap.Map, f fstest.MapFS) { m.Mode = "opi" }},
	} {
		t.Run(tc.chip+" "+tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := simulator.Config{Chip: tc.chip, FlashSize: tc.flash}
				if tc.misbehave != "" {
					cfg.Misbehave = misbehaving(t, tc.misbehave)
				}
				b := newBoard(t, cfg)
				m, files := firmware(tc.chip, 20_000)
				if tc.change != nil {
					tc.change(m, files)
				}
				_, _, err := flashAll(t.Context(), b, flash.Options{}, m, files, flash.WriteOptions{})
				if !flash.IsKind(err, tc.kind) || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v", err)
				}
				untouched(t, b)
			})
		})
	}
}

func TestForceWritesWhatLooksWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, simulator.Config{Chip: "esp32c3"})
		m, files := firmware("esp32c3", 5_000)
		files["bootloader/bootloader.bin"].Data[500] ^= 1
		files["app.bin"].Data = makeImage("esp32", 5_000, true)
		if _, _, err := flashAll(t.Context(), b, flash.Options{}, m, files, flash.WriteOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
		wantInFlash(t, b, m, files)
	})
}

func TestWrongBoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, simulator.Config{Chip: "esp32c3"})
		_, err := flash.Connect(t.Context(), b.port, flash.Options{Chip: "esp32"})
		if !flash.IsKind(err, flash.KindFirmware) || !strings.Contains(err.Error(), "the board is esp32c3, not esp32") {
			t.Errorf("got %v", err)
		}
	})
}

func TestOptionsThatMeanNothing(t *testing.T) {
	for _, s := range []string{"default_reset", "default-reset", "usb_reset", "no-reset", ""} {
		if _, err := flash.ParseBefore(s); err != nil {
			t.Errorf("before %q: %v", s, err)
		}
	}
	for _, s := range []string{"hard_reset", "hard-reset", "soft_reset", "no_reset", ""} {
		if _, err := flash.ParseAfter(s); err != nil {
			t.Errorf("after %q: %v", s, err)
		}
	}
	_, before := flash.ParseBefore("hard_reset")
	_, after := flash.ParseAfter("soft")
	_, chip := flash.Connect(t.Context(), nil, flash.Options{Chip: "esp8266"})
	_, baud := flash.Connect(t.Context(), nil, flash.Options{Baud: -1})
	for _, err := range []error{before, after, chip, baud} {
		var e *flash.Error
		if !errors.As(err, &e) || e.Kind != flash.KindOption {
			t.Errorf("got %v", err)
		}
	}
}
