// Package interop holds only tests: flashing tools from elsewhere drive the simulated
// chip, which shows that it is like a chip.
//
//	esptool    ──── pyserial ─────────▶ pseudo-terminal ──▶ simulated-chip
//	espflasher ──── go.bug.st/serial ─▶ pseudo-terminal ──▶ simulated-chip
//	esptool-js ──── WebSerial shim ───▶ TCP on loopback ──▶ simulated-chip
//
// It is a module of its own, so that the product does not depend on those tools, and it
// imports nothing of the product either: it builds and starts the command. Run it with
//
//	cd examples/simulated-chip/interop && go test ./...
//
// esptool needs Python 3 and PyPI, esptool-js Node and npm. Their tests are skipped
// without.
package interop

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// command is the simulated-chip binary, built once for all tests.
var command string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "interop-*")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		command = filepath.Join(dir, "simulated-chip")
		build := exec.Command("go", "build", "-o", command, "./examples/simulated-chip")
		build.Dir = filepath.Join("..", "..", "..")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the simulated chip: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// simulation is a running simulated-chip.
type simulation struct {
	port  string
	flash string // the file that holds the flash after stop
	stop  func()
}

// start runs the command and reads the port's name from its one line.
func start(t *testing.T, args ...string) *simulation {
	t.Helper()
	s := &simulation{flash: filepath.Join(t.TempDir(), "flash.bin")}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	cmd := exec.CommandContext(ctx, command, append(args, "--flash", s.flash)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 5 * time.Second
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	s.stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		// The context's end shows as an error of Wait; the command itself must
		// have left cleanly.
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("simulated-chip ended with %d:\n%s", code, log.String())
		}
	}
	t.Cleanup(s.stop)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("simulated-chip printed no port: %v\n%s", err, log.String())
	}
	s.port = strings.TrimSpace(line)
	return s
}

// firmware is bytes that compress, but not to nothing.
func firmware(n int) []byte {
	p := make([]byte, 0, n+md5.Size)
	for i := 0; len(p) < n; i++ {
		sum := md5.Sum([]byte{byte(i), byte(i >> 8)})
		p = append(p, sum[:]...)
		p = append(p, bytes.Repeat([]byte{byte(i)}, 64)...)
	}
	return p[:n]
}
