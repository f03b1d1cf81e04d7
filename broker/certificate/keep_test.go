package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// lines is a log that signals each write.
type lines struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.wrote <- struct{}{}:
	default:
	}
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestAServerThatIsDown checks that the log has a hint, and that the broker can
// end.
func TestAServerThatIsDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	log := &lines{wrote: make(chan struct{}, 1)}
	a, err := newACME(t, func(c *ACMEConfig) {
		c.Hostnames = []string{"broker.example.org"}
		c.Directory, c.Logger = "https://"+l.Addr().String()+"/dir", slog.New(slog.NewTextHandler(log, nil))
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); a.Keep(ctx) }()
	<-log.wrote
	cancel()
	<-done
	if text := log.String(); !strings.Contains(text, `"a certificate cannot be obtained" host=broker.example.org`) || !strings.Contains(text, "hint=") {
		t.Errorf("the log has %s", text)
	}
}

// TestAServerThatIsSilent checks that the broker can end.
func TestAServerThatIsSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := newACME(t, func(c *ACMEConfig) { c.Directory = "https://" + l.Addr().String() + "/dir" })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); a.Keep(ctx) }()
	conn, err := l.Accept() // the request gets no answer
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	select {
	case <-done:
	case <-time.After(25 * time.Second): // the client's own timeout is 30 s
		t.Fatal("it still waits for the server")
	}
}

// TestSessionsAreResumed checks that a second connection needs no full handshake.
func TestSessionsAreResumed(t *testing.T) {
	dir := t.TempDir()
	cert, key := pair(t, 1, time.Now().Add(time.Hour))
	write(t, filepath.Join(dir, "c"), cert)
	write(t, filepath.Join(dir, "k"), key)
	f, err := OpenFiles(filepath.Join(dir, "c"), filepath.Join(dir, "k"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", f.TLS())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client := &tls.Config{InsecureSkipVerify: true, ServerName: "x", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for i, want := range []bool{false, true} {
		done := serveOne(l)
		conn, err := tls.Dial("tcp", l.Addr().String(), client)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(conn); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := conn.ConnectionState().DidResume; got != want {
			t.Errorf("connection %d: resumed %v, want %v", i, got, want)
		}
		_ = conn.Close()
	}
}
