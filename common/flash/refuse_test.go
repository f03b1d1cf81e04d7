package flash_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/common/flashmap"
	"github.com/farforge/farforge/examples/simulated-chip/simulator"
)

// TestRefusedBeforeAByteIsWritten combines firmware and boards that do not fit each
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
		{name: "bootloader for a larger flash", chip: "esp32c3", kind: flash.KindFirmware, want: "the header of bootloader at 0x0 says that the flash has 16 MiB, but the board's has 4 MiB",
			change: func(m *flashmap.Map, f fstest.MapFS) { m.Size = "16MB" }},
		{name: "bootloader for a larger flash, kept", chip: "esp32", kind: flash.KindFirmware, want: "says that the flash has 8 MiB",
			change: func(m *flashmap.Map, f fstest.MapFS) {
				m.Size = "keep"
				f["bootloader/bootloader.bin"].Data = makeImage("esp32", 9000, false)
				f["bootloader/bootloader.bin"].Data[3] = 0x30
			}},
		{name: "older silicon wanted", chip: "esp32", kind: flash.KindFirmware, want: "app at 0x10000 is for chips up to revision v1.99, the board's is v3.0",
			change: func(m *flashmap.Map, f fstest.MapFS) {
				f["app.bin"].Data = makeImage("esp32", 100, false)
				binary.LittleEndian.PutUint16(f["app.bin"].Data[17:], 199)
			}},
		{name: "ELF file", chip: "esp32c3", kind: flash.KindFirmware, want: "app at 0x10000 is an ELF file",
			change: func(m *flashmap.Map, f fstest.MapFS) { f["app.bin"].Data = []byte("\x7fELF\x01\x01\x01 and more") }},
		{name: "HEX file", chip: "esp32c3", kind: flash.KindFirmware, want: "app at 0x10000 is an Intel HEX file",
			change: func(m *flashmap.Map, f fstest.MapFS) {
				f["app.bin"].Data = []byte(":10010000214601360121470136007EFE09D2190140\r\n:00000001FF\r\n")
			}},
		{name: "UF2 file", chip: "esp32", kind: flash.KindFirmware, want: "app at 0x10000 is a UF2 file",
			change: func(m *flashmap.Map, f fstest.MapFS) { f["app.bin"].Data = []byte("UF2\nWQ]\x9e and more") }},
		{name: "text", chip: "esp32", kind: flash.KindFirmware, want: "bootloader at 0x1000 is text",
			change: func(m *flashmap.Map, f fstest.MapFS) {
				f["bootloader/bootloader.bin"].Data = []byte("404: page not found\n")
			}},
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
		{name: "encrypted image", chip: "esp32c3", kind: flash.KindSecurity, want: "would have to encrypt",
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

func TestForceWritesDamagedImages(t *testing.T) {
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

// TestDownloadModeDisabled connects to a board whose fuses disable download mode.
func TestDownloadModeDisabled(t *testing.T) {
	for _, chip := range bothChips {
		synctest.Test(t, func(t *testing.T) {
			b := newBoard(t, simulator.Config{Chip: chip, Misbehave: misbehaving(t, "download-disabled")})
			start := time.Now()
			_, err := flash.Connect(t.Context(), b.port, flash.Options{})
			if !flash.IsKind(err, flash.KindSecurity) || !strings.Contains(err.Error(), "eFuses disable its download mode") {
				t.Errorf("%s: %v", chip, err)
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("%s: it took %s to notice", chip, took)
			}
		})
	}
}

// TestHeaderIsCorrected puts the board's flash size, and values that the user gave, into
// the bootloader's header.
func TestHeaderIsCorrected(t *testing.T) {
	for _, tc := range []struct {
		w          flash.WriteOptions
		size       string
		mode, freq byte
	}{
		{flash.WriteOptions{Size: "detect"}, "16MB", 2, 0x20},
		{flash.WriteOptions{}, "detect", 2, 0x20},
		{flash.WriteOptions{Size: "keep"}, "4MB", 2, 0x10},
		{flash.WriteOptions{Size: "1MB", Mode: "qio", Freq: "80m"}, "4MB", 0, 0x0F},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBoard(t, simulator.Config{Chip: "esp32"})
			m, files := firmware("esp32", 5_000)
			m.Size = tc.size
			if _, tail, err := flashAll(t.Context(), b, flash.Options{}, m, files, tc.w); err != nil {
				t.Errorf("%+v: %v", tc, err)
			} else {
				readUntil(t, b.port, tail, "SHA-256 verified") // by the simulated ROM
			}
			if got := b.chip.Flash()[0x1000:]; got[2] != tc.mode || got[3] != tc.freq {
				t.Errorf("%+v: the header has %#x %#x", tc, got[2], got[3])
			}
		})
	}
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

func TestWrongOptions(t *testing.T) {
	for _, s := range []string{"default_reset", "default-reset", "usb_reset", "no-reset", "no_reset_no_sync", ""} {
		if _, err := flash.ParseBefore(s); err != nil {
			t.Errorf("before %q: %v", s, err)
		}
	}
	for _, s := range []string{"hard_reset", "hard-reset", "soft_reset", "no_reset", "no_reset_stub", "watchdog-reset", ""} {
		if _, err := flash.ParseAfter(s); err != nil {
			t.Errorf("after %q: %v", s, err)
		}
	}
	_, before := flash.ParseBefore("hard_reset")
	_, after := flash.ParseAfter("soft")
	_, chip := flash.Connect(t.Context(), nil, flash.Options{Chip: "esp9999"})
	_, baud := flash.Connect(t.Context(), nil, flash.Options{Baud: -1})
	for _, err := range []error{before, after, chip, baud} {
		var e *flash.Error
		if !errors.As(err, &e) || e.Kind != flash.KindOption {
			t.Errorf("got %v", err)
		}
	}
}
