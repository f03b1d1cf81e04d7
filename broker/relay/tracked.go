package relay

import (
	"net"
	"sync"
	"time"
)

const (
	// maxConns bounds the connections of one listener: far more than jobs can
	// have allocations, so that only a flood is cut off.
	maxConns = 1024
	// idleTime is a little more than the life of an allocation that nobody
	// refreshes (RFC 8656, section 3.2).
	idleTime = 11 * time.Minute
)

// tracked is a listener that closes what it has accepted when it is closed, as
// pion's server leaves that open.
type tracked struct {
	net.Listener
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

func track(l net.Listener) *tracked {
	return &tracked{Listener: l, conns: map[net.Conn]struct{}{}}
}

// Accept implements net.Listener.
func (t *tracked) Accept() (net.Conn, error) {
	c, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	tc := &trackedConn{Conn: c, t: t}
	if t.closed || len(t.conns) >= maxConns {
		_ = c.Close() // whoever reads it finds that out
		return tc, nil
	}
	t.conns[tc] = struct{}{}
	return tc, nil
}

// Close implements net.Listener.
func (t *tracked) Close() error {
	err := t.Listener.Close()
	t.mu.Lock()
	t.closed = true
	conns := t.conns
	t.conns = map[net.Conn]struct{}{}
	t.mu.Unlock()
	for c := range conns {
		_ = c.Close()
	}
	return err
}

type trackedConn struct {
	net.Conn
	t *tracked
}

// Read ends a connection that is silent for longer than an allocation lives.
func (c *trackedConn) Read(p []byte) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(idleTime))
	return c.Conn.Read(p)
}

func (c *trackedConn) Close() error {
	c.t.mu.Lock()
	delete(c.t.conns, c)
	c.t.mu.Unlock()
	return c.Conn.Close()
}
