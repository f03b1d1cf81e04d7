package simulator

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// serving runs Serve and returns a function that ends it and checks its result.
func serving(t *testing.T, chip *Chip, rw io.ReadWriter) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- chip.Serve(ctx, rw) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

// deadline is what connections and files have in common.
type deadline interface {
	io.ReadWriter
	SetDeadline(time.Time) error
}

// converse flashes a block over a transport without modem lines, starting from
// the running application, and reboots.
func converse(t *testing.T, rw deadline) {
	t.Helper()
	rw.SetDeadline(time.Now().Add(20 * time.Second))
	ask := func(op Opcode, sum uint32, data []byte) []byte {
		t.Helper()
		p := append([]byte{0, byte(op), byte(len(data)), byte(len(data) >> 8), byte(sum), 0, 0, 0}, data...)
		if _, err := rw.Write(slipEncode(p)); err != nil {
			t.Fatal(err)
		}
		var d slipDecoder
		b := make([]byte, 1)
		for {
			if _, err := io.ReadFull(rw, b); err != nil {
				t.Fatalf("%s: %v", op, err)
			}
			if f, whole := d.push(b[0]); whole && len(f) >= 10 && f[0] == 1 && Opcode(f[1]) == op {
				return f[8:]
			}
		}
	}
	if got := ask(Sync, 0, syncData); len(got) != 4 || got[0] != 0 {
		t.Fatalf("sync: % x", got)
	}
	for _, s := range []step{
		{SPIAttach, words(0, 0), 0, ok},
		{FlashBegin, words(0x400, 1, 0x400, 0), 0, ok},
		data(FlashData, 0, block, ok),
		{FlashEnd, words(0), 0, ok},
	} {
		if got := ask(s.op, s.sum, s.data); len(got) != 4 || got[0] != 0 {
			t.Fatalf("%s: % x", s.op, got)
		}
	}
	var text strings.Builder
	buf := make([]byte, 256)
	for !strings.Contains(text.String(), "invalid header: 0x5a5a5a5a") {
		// The block went to 0; an ESP32 boots from 0x1000, which is erased.
		if strings.Contains(text.String(), "invalid header: 0xffffffff") {
			break
		}
		n, err := rw.Read(buf)
		if err != nil {
			t.Fatalf("after the reboot: %v, so far %q", err, text.String())
		}
		text.Write(buf[:n])
	}
}

func TestServeOnAPipe(t *testing.T) {
	chip, err := New(Config{Chip: "esp32", AutoDownload: true})
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	stop := serving(t, chip, far)
	converse(t, near)
	if err := chip.Serve(t.Context(), near); !errors.Is(err, ErrBusy) {
		t.Errorf("a second Serve at once: %v", err)
	}
	stop()
	if _, err := near.Read(make([]byte, 1)); err == nil {
		t.Error("Serve left its transport open")
	}
	if flash := chip.Flash(); !bytes.Equal(flash[:0x400], block) {
		t.Error("the block is not in the flash")
	}
}

func TestServeEndsWithTheConnection(t *testing.T) {
	chip, _ := New(Config{Chip: "esp32", AutoDownload: true})
	for range 3 { // and can be served again
		near, far := net.Pipe()
		done := make(chan error, 1)
		go func() { done <- chip.Serve(t.Context(), far) }()
		near.Write(slipEncode([]byte("hello")))
		near.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

func TestServeReportsABrokenTransport(t *testing.T) {
	chip, _ := New(Config{Chip: "esp32"})
	broken := errors.New("the cable burned")
	if err := chip.Serve(t.Context(), &failing{broken}); !errors.Is(err, broken) {
		t.Errorf("Serve: %v, want %v", err, broken)
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error)    { return 0, f.err }
func (f *failing) Write(p []byte) (int, error) { return len(p), nil }

func TestWithoutAutoDownloadTheApplicationKeepsRunning(t *testing.T) {
	chip, _ := New(Config{Chip: "esp32", InvalidHeaderInterval: time.Millisecond})
	near, far := net.Pipe()
	stop := serving(t, chip, far)
	defer stop()
	near.SetDeadline(time.Now().Add(20 * time.Second))
	go near.Write(slipEncode(append([]byte{0, byte(Sync), syncSize, 0, 0, 0, 0, 0}, syncData...)))
	var text bytes.Buffer
	buf := make([]byte, 64)
	for strings.Count(text.String(), "RTCWDT") < 3 {
		n, err := near.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(buf[:n])
	}
	if bytes.Contains(text.Bytes(), []byte("waiting for download")) {
		t.Error("a SYNC reset the chip although nothing drove its lines")
	}
}

func TestServeOnAPseudoTerminal(t *testing.T) {
	pty, err := OpenPTY()
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	chip, _ := New(Config{Chip: "esp32", AutoDownload: true})
	stop := serving(t, chip, pty)
	for range 2 { // hosts come and go
		host, err := os.OpenFile(pty.Name(), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		converse(t, host)
		host.Close()
	}
	// A host that has it open must not keep Serve from ending.
	host, err := os.OpenFile(pty.Name(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	stop()
}

func TestServeListenerTakesOneAfterTheOther(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	chip, _ := New(Config{Chip: "esp32", AutoDownload: true})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- chip.ServeListener(ctx, l) }()
	for range 2 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		converse(t, conn)
		conn.Close()
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("ServeListener: %v", err)
	}
}

func TestConsoleThatNobodyReadsIsLostNotFatal(t *testing.T) {
	q := &queue{room: make(chan struct{}, 1), ready: make(chan struct{}, 1)}
	for range 10_000 {
		q.offer([]byte("nobody reads this\r\n"), 0)
	}
	if len(q.pending) > consoleQueue {
		t.Errorf("%d bytes are kept, the limit is %d", len(q.pending), consoleQueue)
	}
	q.discard()
	if len(q.pending) != 0 {
		t.Error("a reset keeps old console output")
	}
	q.send(t.Context(), []byte("frame"), 0)
	q.discard()
	if len(q.pending) == 0 {
		t.Error("a frame was discarded")
	}
}
