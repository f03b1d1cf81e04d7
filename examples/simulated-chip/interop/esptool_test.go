package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// chipsOfBoth are the chips that the simulation and esptool know.
var chipsOfBoth = []struct{ name, title string }{
	{"esp8266", "ESP8266"}, {"esp32", "ESP32"}, {"esp32s2", "ESP32-S2"}, {"esp32c3", "ESP32-C3"}, {"esp32s3", "ESP32-S3"}, {"esp32c2", "ESP32-C2"},
	{"esp32c6", "ESP32-C6"}, {"esp32h2", "ESP32-H2"}, {"esp32p4", "ESP32-P4"}, {"esp32c61", "ESP32-C61"}, {"esp32c5", "ESP32-C5"},
}

// esptool is a running verbs.py.
type esptool struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
}

// startEsptool installs esptool if it is not there yet. Without Python or PyPI the test
// is skipped: the flasher under test comes from there.
func startEsptool(t *testing.T) *esptool {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "esptool/install").CombinedOutput(); err != nil {
		t.Skipf("esptool cannot be installed from PyPI, so it does not drive the simulated chip: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), "esptool/venv/bin/python", "esptool/verbs.py")
	cmd.Env = append(os.Environ(), "PYTHONUNBUFFERED=1", "NO_COLOR=1", "TERM=dumb")
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	return &esptool{t, in, bufio.NewReader(out)}
}

// run runs a command and returns what it printed and its exit status.
func (e *esptool) run(args ...string) (output string, exit string) {
	e.t.Helper()
	line, err := json.Marshal(args)
	if err != nil {
		e.t.Fatal(err)
	}
	if _, err := e.in.Write(append(line, '\n')); err != nil {
		e.t.Fatal(err)
	}
	var b strings.Builder
	for {
		line, err := e.out.ReadString('\n')
		if status, is := strings.CutPrefix(strings.TrimSpace(line), "exit "); is {
			return b.String(), status
		}
		b.WriteString(line)
		if err != nil {
			e.t.Fatalf("esptool %s: %v\n%s", strings.Join(args, " "), err, b.String())
		}
	}
}

// must runs a command on a board that must succeed.
func (e *esptool) must(s *simulation, args ...string) string {
	e.t.Helper()
	out, exit := e.on(s, args...)
	if exit != "0" {
		e.t.Fatalf("esptool %s: exit %s\n%s", strings.Join(args, " "), exit, out)
	}
	return out
}

// on runs a command on a board. The pseudo-terminal has no lines to reset it by.
func (e *esptool) on(s *simulation, args ...string) (output, exit string) {
	e.t.Helper()
	return e.run(append([]string{"--port", s.port, "--before", "no-reset", "--after", "no-reset-stub"}, args...)...)
}

// TestEsptoolWritesEveryChip detects each chip with Espressif's esptool, loads its stub,
// writes, verifies by MD5 and reads back.
func TestEsptoolWritesEveryChip(t *testing.T) {
	e := startEsptool(t)
	image := firmware(30_001)
	file := filepath.Join(t.TempDir(), "image.bin")
	if err := os.WriteFile(file, image, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, chip := range chipsOfBoth {
		t.Run(chip.name, func(t *testing.T) {
			e := &esptool{t, e.in, e.out}
			sim := start(t, "--chip", chip.name, "--strap", "download")
			if out := e.must(sim, "write-flash", "0x10000", file); !strings.Contains(out, "Connected to "+chip.title+" on") || !strings.Contains(out, "Hash of data verified") {
				t.Errorf("write-flash said\n%s", out)
			}
			back := filepath.Join(t.TempDir(), "back.bin")
			e.must(sim, "read-flash", "0x10000", fmt.Sprint(len(image)), back)
			if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, image) {
				t.Errorf("read back %d bytes, or others: %v", len(got), err)
			}
			sim.stop()
			if flash, err := os.ReadFile(sim.flash); err != nil || !bytes.Equal(flash[0x10000:0x10000+len(image)], image) {
				t.Errorf("the flash file does not hold the image: %v", err)
			}
		})
	}
}

// TestEsptoolVerbs runs all commands of esptool that talk to a board, through its stub
// and through the ROM alone.
func TestEsptoolVerbs(t *testing.T) {
	e := startEsptool(t)
	dir := t.TempDir()
	image := firmware(70_000)
	file, program := filepath.Join(dir, "image.bin"), filepath.Join(dir, "program.bin")
	if err := os.WriteFile(file, image, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, chip := range chipsOfBoth {
		if chip.name != "esp32" && chip.name != "esp32c3" && chip.name != "esp32s3" {
			continue
		}
		t.Run(chip.name, func(t *testing.T) {
			e := &esptool{t, e.in, e.out}
			sim := start(t, "--chip", chip.name, "--strap", "download", "--mac", "02:00:00:12:34:56")
			says := func(want string, args ...string) {
				t.Helper()
				if out := e.must(sim, args...); !strings.Contains(out, want) {
					t.Errorf("%s does not say %q:\n%s", strings.Join(args, " "), want, out)
				}
			}
			// The ROM alone first: a stub stays.
			says("02:00:00:12:34:56", "--no-stub", "read-mac")
			says("Detected flash size: 4MB", "--no-stub", "flash-id")
			says("Hash of data verified", "--no-stub", "write-flash", "0x20000", file)
			says("Verification successful (digest matched)", "--no-stub", "verify-flash", "0x20000", file)
			says("", "--no-stub", "read-flash", "0x20000", "1000", filepath.Join(dir, "slow.bin"))
			if got, err := os.ReadFile(filepath.Join(dir, "slow.bin")); err != nil || !bytes.Equal(got, image[:1000]) {
				t.Errorf("read back through the ROM: %d bytes, or others: %v", len(got), err)
			}
			if chip.name != "esp32" {
				says("Flags: 0x00000000", "--no-stub", "get-security-info")
			}
			says("", "--no-stub", "write-mem", "0x60000100", "0x12345678")
			says("0x12345678", "--no-stub", "read-mem", "0x60000100")
			says("", "--no-stub", "chip-id")

			says("Hash of data verified", "write-flash", "-u", "0x30000", file)
			says("Hash of data verified", "--baud", "460800", "write-flash", "0x50000", file)
			says("Verification successful (digest matched)", "verify-flash", "0x50000", file)
			if out, exit := e.on(sim, "verify-flash", "0x51000", file); exit == "0" {
				t.Errorf("verify-flash of something else succeeded:\n%s", out)
			}
			says("", "erase-region", "0x50000", "0x1000")
			says("4MB", "flash-id")
			says("", "read-flash-status")
			says("", "read-flash-sfdp", "0", "4")
			says("", "erase-flash")
			e.must(sim, "read-flash", "0x30000", "0x1000", program)
			if got, err := os.ReadFile(program); err != nil || !bytes.Equal(got, bytes.Repeat([]byte{0xFF}, 0x1000)) {
				t.Errorf("after erase-flash the flash is not blank: %v", err)
			}
		})
	}
}

// TestEsptoolSeesCorruption corrupts flash writes silently, which also shows that the
// tests above can fail.
func TestEsptoolSeesCorruption(t *testing.T) {
	e := startEsptool(t)
	file := filepath.Join(t.TempDir(), "image.bin")
	if err := os.WriteFile(file, firmware(5000), 0o600); err != nil {
		t.Fatal(err)
	}
	sim := start(t, "--chip", "esp32s3", "--strap", "download", "--misbehave", "corrupt")
	if out, exit := e.on(sim, "write-flash", "0", file); exit == "0" || !strings.Contains(out, "MD5") {
		t.Errorf("exit %s:\n%s", exit, out)
	}
}
