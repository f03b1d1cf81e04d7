package fronttest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// serve accepts connections until the test ends, and waits for their handlers.
func serve(t testing.TB, handle func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	closed := false
	group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("accept: %v", err)
				}
				return
			}
			mu.Lock()
			if closed {
				conn.Close()
			}
			open[conn] = true
			mu.Unlock()
			group.Go(func() {
				defer func() {
					conn.Close()
					mu.Lock()
					delete(open, conn)
					mu.Unlock()
				}()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		closed = true
		for conn := range open {
			conn.Close()
		}
		mu.Unlock()
		group.Wait()
	})
	return l.Addr().String()
}

// join copies in both directions until one side ends.
func join(a, b io.ReadWriteCloser) {
	var group sync.WaitGroup
	group.Go(func() { _, _ = io.Copy(a, b); a.Close(); b.Close() })
	group.Go(func() { _, _ = io.Copy(b, a); a.Close(); b.Close() })
	group.Wait()
}

// Tap forwards TCP connections and records every byte, like an observer on the
// network.
type Tap struct {
	Addr string

	mu   sync.Mutex
	seen map[net.Conn]*bytes.Buffer // from the client, by connection
	all  bytes.Buffer               // both directions
}

// StartTap starts a tap in front of an address.
func StartTap(t testing.TB, to string) *Tap {
	t.Helper()
	tap := &Tap{seen: map[net.Conn]*bytes.Buffer{}}
	tap.Addr = serve(t, func(conn net.Conn) {
		onward, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		join(&tapped{conn, tap, conn}, &tapped{onward, tap, nil})
	})
	return tap
}

type tapped struct {
	net.Conn
	tap    *Tap
	client net.Conn // nil on the far side
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	c.tap.all.Write(b[:n])
	if c.client != nil && n > 0 {
		if c.tap.seen[c.client] == nil {
			c.tap.seen[c.client] = new(bytes.Buffer)
		}
		c.tap.seen[c.client].Write(b[:n])
	}
	return n, err
}

// All returns all bytes so far, of both directions.
func (t *Tap) All() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.all.Bytes())
}

// Sent returns the bytes from clients, by connection.
func (t *Tap) Sent() [][]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out [][]byte
	for _, b := range t.seen {
		out = append(out, bytes.Clone(b.Bytes()))
	}
	return out
}

// StartFilter starts a server that accepts connections and resets each at its first
// bytes, like a filter of handshakes.
func StartFilter(t testing.TB) (addr string) {
	return serve(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 4096))
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // reset
		}
	})
}
