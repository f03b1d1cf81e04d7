package simulator

import (
	"crypto/sha256"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// compile builds a program of testdata/firmware.c and returns its flash image.
// Without the compiler the test is skipped: there is no code to run.
func compile(t *testing.T, name string, flags ...string) []byte {
	t.Helper()
	const prefix = "riscv64-unknown-elf-"
	gcc, err := exec.LookPath(prefix + "gcc")
	if err != nil {
		t.Skipf("%sgcc is not installed (Debian: gcc-riscv64-unknown-elf), so there is no firmware to run", prefix)
	}
	dir := t.TempDir()
	elf, bin := filepath.Join(dir, "a.elf"), filepath.Join(dir, "a.bin")
	args := append([]string{"-march=rv32imc_zicsr", "-mabi=ilp32", "-nostdlib", "-ffreestanding", "-Os",
		"-Wl,-Ttext=0x42000200", "-Wl,--section-start=.header=0x42000000", "-Wl,--build-id=none", "-Wl,-e,_start",
		"-D" + name, "-o", elf, filepath.Join("testdata", "firmware.c")}, flags...)
	if out, err := exec.CommandContext(t.Context(), gcc, args...).CombinedOutput(); err != nil {
		t.Fatalf("compile: %v\n%s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), prefix+"objcopy", "-O", "binary", elf, bin).CombinedOutput(); err != nil {
		t.Fatalf("objcopy: %v\n%s", err, out)
	}
	p, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// espImage packs segments as Espressif's tools do.
func espImage(chipID uint16, entry uint32, hashed bool, segments ...segment) []byte {
	p := make([]byte, imageHeader)
	p[0], p[1], p[2] = imageMagic, byte(len(segments)), 2
	binary.LittleEndian.PutUint32(p[4:], entry)
	binary.LittleEndian.PutUint16(p[12:], chipID)
	if hashed {
		p[23] = 1
	}
	sum := byte(checksumSeed)
	for _, s := range segments {
		p = binary.LittleEndian.AppendUint32(p, s.addr)
		p = binary.LittleEndian.AppendUint32(p, uint32(len(s.data)))
		p = append(p, s.data...)
		for _, b := range s.data {
			sum ^= b
		}
	}
	for len(p)%16 != 15 {
		p = append(p, 0)
	}
	p = append(p, sum)
	if hashed {
		h := sha256.Sum256(p)
		p = append(p, h[:]...)
	}
	return p
}

// boots runs a program in a bubble of simulated time until it printed want, and
// returns what it printed and how long that took.
func boots(t *testing.T, flash []byte, want string) (text string, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, h := open(t, Config{Chip: "esp32c3", Flash: flash})
		text, took = h.until(want), time.Since(began)
		h.port.Close()
	})
	return text, took
}

func near(got, want, slack time.Duration) bool { return (got - want).Abs() <= slack }

func TestFirmwareRuns(t *testing.T) {
	for _, tt := range []struct {
		name string
		want string        // what it prints last
		also string        // what it prints before
		at   time.Duration // when, give or take
	}{
		{"TEST_TICKS", "tick 2\r\n", "(SPI_FAST_FLASH_BOOT)\r\nstarted\r\ntick 1\r\n", 2 * time.Second},
		{"TEST_FED", "fed for four seconds\r\n", "started", 4400 * time.Millisecond}, // WFI wakes every 10 ms
		{"TEST_LOCKED", "still here\r\n", "started", 2 * time.Second},
		{"TEST_TIMER_DOG", "rst:0x7 (TG0WDT_SYS_RST)", "started", 650 * time.Millisecond},
		{"TEST_RTC_DOG", "rst:0x10 (RTCWDT_RTC_RST)", "started", 2941 * time.Millisecond},
		{"TEST_SUPER_DOG", "rst:0x12 (SUPER_WDT_RST)", "started", time.Second},
		{"TEST_ILLEGAL", "rst:0x3 (RTC_SW_SYS_RST)", "panic'ed (Illegal instruction). PC 0x420", 500 * time.Millisecond},
		{"TEST_NULL", "rst:0x3 (RTC_SW_SYS_RST)", "panic'ed (Load access fault)", 500 * time.Millisecond},
		{"TEST_STORE", "rst:0x3 (RTC_SW_SYS_RST)", "panic'ed (Store access fault). PC", 500 * time.Millisecond},
		{"TEST_ROM", "it stops here\r\n", "[simulation] the program called the chip's ROM at 0x40000050", 0},
		{"TEST_RESTART", "rst:0x3 (RTC_SW_SYS_RST)", "started", 0},
		{"TEST_SLEEP", "awake\r\n", "started", 30 * time.Millisecond},
		{"TEST_WIDTHS", "wbytes\r\n", "started", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text, took := boots(t, compile(t, tt.name), tt.want)
			if !strings.Contains(text, tt.also) {
				t.Errorf("printed %q, without %q", text, tt.also)
			}
			if !near(took, tt.at, 40*time.Millisecond) {
				t.Errorf("it took %v, want about %v", took, tt.at)
			}
		})
	}
}

func TestUARTDropsSurplusBytes(t *testing.T) {
	text, _ := boots(t, compile(t, "TEST_OVERFLOW"), "over\r\n")
	// 128 fit at once; few more leave while the loop runs.
	if n := strings.Count(text, "."); n < 100 || n > 250 {
		t.Errorf("%d of 1000 bytes came through an unchecked queue of 128", n)
	}
}

func TestFirmwareReadsTheUART(t *testing.T) {
	flash := compile(t, "TEST_ECHO")
	synctest.Test(t, func(t *testing.T) {
		_, h := open(t, Config{Chip: "esp32c3", Flash: flash})
		h.until("started\r\n")
		h.port.Write([]byte("sPEAK"))
		h.until("Speak")
		h.port.Close()
	})
}

func TestImageInRAMRuns(t *testing.T) {
	code := compile(t, "TEST_TICKS", "-DRAM_IMAGE", "-Wl,-Ttext=0x40390200", "-Wl,--section-start=.header=0x40390000")
	img := espImage(5, 0x40390000, true, segment{0x40390000, code})
	text, _ := boots(t, img, "started\r\n")
	if !strings.Contains(text, "mode:DIO") || !strings.Contains(text, "entry 0x40390000\r\n") {
		t.Errorf("printed %q", text)
	}
}
