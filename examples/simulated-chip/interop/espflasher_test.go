package interop

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"tinygo.org/x/espflasher/pkg/espflasher"
)

// testLog sends the library's messages to the test.
type testLog struct{ t *testing.T }

func (l testLog) Logf(format string, args ...any) { l.t.Logf(format, args...) }

// TestEspflasher detects the chip with tinygo.org/x/espflasher, loads its stub, writes
// compressed and plain, verifies, reads back and erases.
func TestEspflasher(t *testing.T) {
	for _, chip := range []struct {
		name string
		want espflasher.ChipType
	}{{"esp32c3", espflasher.ChipESP32C3}, {"esp32", espflasher.ChipESP32}} {
		t.Run(chip.name, func(t *testing.T) {
			sim := start(t, "--chip", chip.name)
			opts := espflasher.DefaultOptions()
			opts.Logger = testLog{t}
			f, err := espflasher.New(sim.port, opts)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if got := f.ChipType(); got != chip.want {
				t.Fatalf("detected %v, want %v", got, chip.want)
			}
			const at, size = 0x10000, 300_001
			image := firmware(size)
			padded := append(bytes.Clone(image), 0, 0, 0) // the library pads to words
			if err := f.FlashImage(image, at, nil); err != nil {
				t.Fatalf("compressed write: %v", err)
			}
			checkMD5(t, f, at, padded)
			back, err := f.ReadFlash(at, size)
			if err != nil {
				t.Fatalf("read back: %v", err)
			}
			if !bytes.Equal(back, image) {
				t.Fatal("the data read back differs from the data written")
			}
			opts.Compress = false
			plain := firmware(40_000)
			if err := f.FlashImage(plain, 0x80000, nil); err != nil {
				t.Fatalf("plain write: %v", err)
			}
			checkMD5(t, f, 0x80000, plain)
			if err := f.EraseRegion(at, 0x2000); err != nil {
				t.Fatalf("erase region: %v", err)
			}
			checkMD5(t, f, at, append(bytes.Repeat([]byte{0xFF}, 0x2000), padded[0x2000:]...))
			sim.stop()
			flash, err := os.ReadFile(sim.flash)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(flash[0x80000:0x80000+len(plain)], plain) {
				t.Error("the flash file does not hold the image")
			}
		})
	}
}

// TestEspflasherStartsTheProgram flashes a direct-boot program, reboots the chip through
// the library, and checks that the program prints.
func TestEspflasherStartsTheProgram(t *testing.T) {
	sim := start(t, "--chip", "esp32c3")
	f, err := espflasher.New(sim.port, nil)
	if err != nil {
		t.Fatal(err)
	}
	var program []byte
	for _, word := range []uint32{
		0xAEDB041D, 0xAEDB041D, // direct boot
		0x60000537, // lui  a0, 0x60000      the UART's queue
		0x04800593, // li   a1, 'H'
		0x00B52023, // sw   a1, 0(a0)
		0x06900593, // li   a1, 'i'
		0x00B52023, // sw   a1, 0(a0)
		0x0000006F, // j    .                until the watchdog bites
	} {
		program = binary.LittleEndian.AppendUint32(program, word)
	}
	if err := f.FlashImage(program, 0, nil); err != nil {
		t.Fatal(err)
	}
	f.Reset()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	port, err := os.OpenFile(sim.port, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	port.SetDeadline(time.Now().Add(20 * time.Second))
	var text strings.Builder
	buf := make([]byte, 256)
	for !strings.Contains(text.String(), "(SPI_FAST_FLASH_BOOT)\r\nHi") {
		n, err := port.Read(buf)
		if err != nil {
			t.Fatalf("read: %v, so far %q", err, text.String())
		}
		text.Write(buf[:n])
	}
}

// TestEspflasherErasesEverything erases the whole flash.
func TestEspflasherErasesEverything(t *testing.T) {
	sim := start(t, "--chip", "esp32c3")
	f, err := espflasher.New(sim.port, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.FlashImage(firmware(5000), 0x1000, nil); err != nil {
		t.Fatal(err)
	}
	if err := f.EraseFlash(); err != nil {
		t.Fatal(err)
	}
	checkMD5(t, f, 0, bytes.Repeat([]byte{0xFF}, 4<<20))
}

// TestEspflasherSeesCorruption corrupts flash writes silently: only the MD5 differs.
func TestEspflasherSeesCorruption(t *testing.T) {
	sim := start(t, "--chip", "esp32c3", "--misbehave", "corrupt")
	f, err := espflasher.New(sim.port, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.FlashImage(firmware(5000), 0, nil); err == nil {
		t.Error("a corrupted write was taken for good")
	}
}

func checkMD5(t *testing.T, f *espflasher.Flasher, at uint32, want []byte) {
	t.Helper()
	got, err := f.GetFlashMD5(at, uint32(len(want)))
	if err != nil {
		t.Fatalf("MD5: %v", err)
	}
	sum := md5.Sum(want)
	if got != hex.EncodeToString(sum[:]) {
		t.Fatalf("MD5 of %d bytes at %#x is %s, want %x", len(want), at, got, sum)
	}
}
