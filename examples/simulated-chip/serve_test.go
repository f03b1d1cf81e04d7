package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// started is a command that runs in this process.
type started struct {
	line string // its output
	stop func() error
}

// start runs the command and waits for its line.
func start(t *testing.T, args ...string) started {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	cmd := newCommand(in, t.Output())
	cmd.SetArgs(args)
	done := make(chan error, 1)
	go func() {
		err := cmd.ExecuteContext(ctx)
		in.CloseWithError(io.EOF)
		done <- err
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		cancel()
		t.Fatalf("no line on stdout: %v, %v", err, <-done)
	}
	return started{strings.TrimSuffix(line, "\n"), func() error { cancel(); return <-done }}
}

func TestPseudoTerminalWithLinkAndFlashFile(t *testing.T) {
	dir := t.TempDir()
	link, flash := filepath.Join(dir, "board"), filepath.Join(dir, "flash.bin")
	if err := os.WriteFile(flash, []byte("not an image"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A link that an earlier run left is replaced.
	if err := os.Symlink("/dev/pts/none", link); err != nil {
		t.Fatal(err)
	}
	s := start(t, "--json", "--link", link, "--flash", flash, "--flash-size", "256KB")
	var a announcement
	if err := json.Unmarshal([]byte(s.line), &a); err != nil {
		t.Fatalf("%q: %v", s.line, err)
	}
	if !a.Simulated || a.Chip != "esp32c3" || a.Transport != "pty" || a.Link != link {
		t.Errorf("announced %+v", a)
	}
	port, err := os.OpenFile(link, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	port.SetDeadline(time.Now().Add(20 * time.Second))
	waitFor(t, port, "invalid header: 0x20746f6e") // "not " of the file
	if err := s.stop(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if _, err := os.Lstat(link); !os.IsNotExist(err) {
		t.Errorf("the link is still there: %v", err)
	}
	kept, err := os.ReadFile(flash)
	if err != nil || len(kept) != 256<<10 || !bytes.HasPrefix(kept, []byte("not an image")) {
		t.Errorf("kept %d bytes, %v", len(kept), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestTCP(t *testing.T) {
	s := start(t, "--chip", "esp32", "--tcp", "127.0.0.1:0", "--strap", "download")
	conn, err := net.Dial("tcp", s.line)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	waitFor(t, conn, "waiting for download")
	if err := s.stop(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func waitFor(t *testing.T, r io.Reader, want string) {
	t.Helper()
	var text strings.Builder
	buf := make([]byte, 256)
	for !strings.Contains(text.String(), want) {
		n, err := r.Read(buf)
		if err != nil {
			t.Fatalf("read: %v, so far %q", err, text.String())
		}
		text.Write(buf[:n])
	}
}

func TestMain(m *testing.M) {
	// Scripts start this binary as simulated-chip.
	testscript.Main(leakChecked{m}, map[string]func(){
		"simulated-chip": func() { os.Exit(run()) },
	})
}

// leakChecked runs the tests and then fails if goroutines are left.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		os.Stderr.WriteString("goroutines are left: " + err.Error() + "\n")
		return 1
	}
	return code
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}
