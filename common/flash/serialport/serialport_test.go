//go:build linux

package serialport

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/creack/pty"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open gives the two ends of a pseudo-terminal, which is a serial port without
// modem lines.
func open(t *testing.T) (master *os.File, p *Port) {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); tty.Close() })
	got, err := openDevice(tty.Name(), 115200)
	if err != nil {
		t.Fatal(err)
	}
	p, ok := got.(*Port)
	if !ok {
		t.Fatalf("a pseudo-terminal is a %T, which has modem lines", got)
	}
	t.Cleanup(func() { p.Close() })
	return master, p
}

func TestReadAndWrite(t *testing.T) {
	master, p := open(t)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	if n, err := p.Write(all); n != len(all) || err != nil {
		t.Fatalf("wrote %d, %v", n, err)
	}
	got := make([]byte, len(all))
	for n := 0; n < len(got); {
		k, err := master.Read(got[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += k
	}
	if !bytes.Equal(got, all) {
		t.Errorf("the line changed the bytes: %x", got)
	}
	if _, err := master.Write([]byte{0xC0, 0x03, 0x11}); err != nil {
		t.Fatal(err)
	}
	n, err := p.Read(got)
	if err != nil || !bytes.HasPrefix([]byte{0xC0, 0x03, 0x11}, got[:n]) {
		t.Errorf("read %x, %v", got[:n], err)
	}
}

func TestDeadlineEndsAWaitingRead(t *testing.T) {
	master, p := open(t)
	done := make(chan error)
	go func() {
		_, err := p.Read(make([]byte, 1))
		done <- err
	}()
	if err := p.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	p.SetReadDeadline(time.Time{})
	if _, err := master.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("after lifting the deadline: %d, %v", n, err)
	}
}

func TestDeadlineEndsABlockedWrite(t *testing.T) {
	_, p := open(t)
	done := make(chan error, 1)
	go func() {
		_, err := p.Write(make([]byte, 64<<10)) // more than fits without a reader
		done <- err
	}()
	if err := p.SetWriteDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestCloseEndsAWaitingRead(t *testing.T) {
	_, p := open(t)
	done := make(chan error)
	go func() {
		_, err := p.Read(make([]byte, 1))
		done <- err
	}()
	p.Close()
	if err := <-done; err == nil {
		t.Error("reading a closed port gave no error")
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := openDevice(filepath.Join(t.TempDir(), "tty"), 115200); !errors.Is(err, ErrNotFound) {
		t.Errorf("missing device: %v", err)
	}
	f := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(f, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openDevice(f, 115200); err == nil {
		t.Error("a plain file was opened as a port")
	}
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer tty.Close()
	p, err := openDevice(tty.Name(), 115200)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := openDevice(tty.Name(), 115200); !errors.Is(err, ErrBusy) {
		t.Errorf("second open: %v", err)
	}
}

// TestPortThatAnotherProgramLocks takes the lock as pyserial's exclusive mode does, and
// checks that an open port holds it.
func TestPortThatAnotherProgramLocks(t *testing.T) {
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer tty.Close()
	if err := lock(tty); err != nil {
		t.Fatal(err)
	}
	if _, err := openDevice(tty.Name(), 115200); !errors.Is(err, ErrBusy) {
		t.Errorf("opened a locked port: %v", err)
	}
	tty.Close()
	p, err := openDevice(tty.Name(), 115200)
	if err != nil {
		t.Fatal(err)
	}
	// TIOCEXCL does not stop root, but the lock does.
	other, err := os.OpenFile(tty.Name(), os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err == nil {
		defer other.Close()
		if err := lock(other); !errors.Is(err, ErrBusy) {
			t.Errorf("locked an open port: %v", err)
		}
	} else if !errors.Is(err, unix.EBUSY) {
		t.Error(err)
	}
	p.Close()
	if again, err := openDevice(tty.Name(), 115200); err != nil {
		t.Errorf("after closing: %v", err)
	} else {
		again.Close()
	}
}

// TestReopener closes a port, whose device is still there, and opens it again.
func TestReopener(t *testing.T) {
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer tty.Close()
	reopen := Reopener(tty.Name(), 115200)
	for range 2 {
		p, err := reopen(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.Close()
	}
	if _, err := Reopener(filepath.Join(t.TempDir(), "ttyACM0"), 115200)(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if Reopener("tcp://127.0.0.1:1", 115200) != nil {
		t.Error("a socket is to be opened again")
	}
}

func TestListKeepsUSBFirst(t *testing.T) {
	ports, err := List()
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(ports); i++ {
		if ports[i].USB && !ports[i-1].USB {
			t.Errorf("%v comes after %v", ports[i], ports[i-1])
		}
	}
}
