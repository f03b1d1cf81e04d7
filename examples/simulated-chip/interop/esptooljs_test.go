package interop

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEsptoolJS detects, flashes and verifies both chips with Espressif's esptool-js,
// through its stub and through the ROM alone.
func TestEsptoolJS(t *testing.T) {
	node := installed(t)
	const at = 0x10000
	image := firmware(150_000)
	file := filepath.Join(t.TempDir(), "image.bin")
	if err := os.WriteFile(file, image, 0o600); err != nil {
		t.Fatal(err)
	}
	digest := md5.Sum(image)
	want := hex.EncodeToString(digest[:])
	for _, chip := range []struct{ name, title, description string }{
		{"esp32c3", "ESP32-C3", "ESP32-C3 (QFN32) (revision v0.3)"},
		{"esp32", "ESP32", "ESP32-D0WD-V3 (revision 3)"},
	} {
		for _, loader := range []string{"stub", "rom"} {
			t.Run(chip.name+"/"+loader, func(t *testing.T) {
				sim := start(t, "--chip", chip.name, "--tcp", "127.0.0.1:0", "--mac", "02:00:00:12:34:56")
				got := flashWithNode(t, node, sim.port, loader, file, "0x10000")
				if got.Chip != chip.title || got.Description != chip.description || got.Stub != (loader == "stub") {
					t.Errorf("saw %q, %q, stub %v; want %q, %q", got.Chip, got.Description, got.Stub, chip.title, chip.description)
				}
				if got.MD5 != want {
					t.Errorf("MD5 %s, want %s", got.MD5, want)
				}
				if loader == "stub" && (got.ReadBack != want || got.MAC != "02:00:00:12:34:56" || got.FlashSize != "4MB") {
					t.Errorf("read back %s, MAC %s, flash size %s", got.ReadBack, got.MAC, got.FlashSize)
				}
				sim.stop()
				flash, err := os.ReadFile(sim.flash)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(flash[at:at+len(image)], image) {
					t.Error("the flash file does not hold the image")
				}
			})
		}
	}
}

// TestEsptoolJSSeesCorruption corrupts flash writes silently: the library must find out
// by MD5, which also shows that the test above can fail.
func TestEsptoolJSSeesCorruption(t *testing.T) {
	node := installed(t)
	file := filepath.Join(t.TempDir(), "image.bin")
	if err := os.WriteFile(file, firmware(5000), 0o600); err != nil {
		t.Fatal(err)
	}
	sim := start(t, "--tcp", "127.0.0.1:0", "--misbehave", "corrupt")
	if got := runNode(t, node, sim.port, "stub", file, "0"); !strings.Contains(got.Error, "MD5") {
		t.Errorf("error %q, want one about the MD5", got.Error)
	}
}

// result is what flash.mjs prints.
type result struct {
	Chip, Description, MAC, FlashSize, MD5, ReadBack, Error string
	Stub                                                    bool
	Log                                                     []string
}

// flashWithNode is runNode for runs that must succeed.
func flashWithNode(t *testing.T, node string, args ...string) result {
	t.Helper()
	r := runNode(t, node, args...)
	if r.Error != "" {
		t.Fatalf("esptool-js: %s\n%s", r.Error, strings.Join(r.Log, "\n"))
	}
	return r
}

func runNode(t *testing.T, node string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, append([]string{"flash.mjs"}, args...)...)
	cmd.Dir = "esptool-js"
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	// The library traces to standard output; the result is the last line.
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var r result
	if e := json.Unmarshal([]byte(lines[len(lines)-1]), &r); e != nil {
		t.Fatalf("node: %v\n%s%s", err, out, stderr.String())
	}
	return r
}

// installed returns the path of node, with the packages in place. Without node
// or npm the test is skipped: the flasher under test runs on them.
func installed(t *testing.T) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed (Debian: nodejs), so esptool-js cannot run")
	}
	if _, err := os.Stat(filepath.Join("esptool-js", "node_modules", "esptool-js")); err == nil {
		return node
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("npm is not installed (Debian: npm), so esptool-js cannot be installed")
	}
	cmd := exec.CommandContext(t.Context(), npm, "ci", "--ignore-scripts")
	cmd.Dir = "esptool-js"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return node
}
