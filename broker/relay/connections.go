package relay

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// maxConns bounds the connections of one listener.
	maxConns = 1024
	// maxWaiting bounds the connections without an allocation from one IPv4
	// address or IPv6 /64. A peer's connection waits for some round trips.
	maxWaiting = 16
	// waitTime is the time in which a connection must get an allocation. It
	// starts again when the allocation ends.
	waitTime = 10 * time.Second
	// idleTime is a little more than the life of an allocation that its peer
	// does not refresh (RFC 8656, section 3.2).
	idleTime = 11 * time.Minute
)

// connections is a listener that bounds its connections. One beyond a bound
// closes the oldest connection without an allocation instead: a flood displaces
// its own connections, and never those of peers with an allocation. Closing the
// listener closes its connections, which pion's server leaves open.
type connections struct {
	net.Listener
	wait    time.Duration
	mu      sync.Mutex
	all     map[netip.AddrPort]*connection // by remote address
	waiting map[netip.Prefix]int           // connections without an allocation
	next    uint64
	closed  bool
}

func bound(l net.Listener, wait time.Duration) *connections {
	return &connections{Listener: l, wait: wait, all: map[netip.AddrPort]*connection{}, waiting: map[netip.Prefix]int{}}
}

// connection is one connection of a peer. The mutex of its listener guards its
// fields.
type connection struct {
	net.Conn
	of     *connections
	remote netip.AddrPort
	number uint64
	// allocations is 0 while the connection waits, until by.
	allocations int
	by          time.Time
	closed      bool
}

// Accept implements net.Listener.
func (l *connections) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.next++
	c := &connection{Conn: conn, of: l, remote: addrPort(conn.RemoteAddr()), number: l.next, by: time.Now().Add(l.wait)}
	var evicted *connection
	switch at := source(c.remote.Addr()); {
	case l.waiting[at] >= maxWaiting:
		evicted = l.oldest(func(o *connection) bool { return source(o.remote.Addr()) == at })
	case len(l.all) >= maxConns:
		evicted = l.oldest(func(*connection) bool { return true })
	}
	evicted.remove()
	if l.closed || l.all[c.remote] != nil || len(l.all) >= maxConns {
		c.closed = true
	} else {
		l.all[c.remote] = c
		l.waiting[source(c.remote.Addr())]++
	}
	l.mu.Unlock()
	if evicted != nil {
		_ = evicted.Conn.Close()
	}
	if c.closed {
		_ = conn.Close() // the server's first read fails
	}
	return c, nil
}

// oldest returns the oldest waiting connection that matches, or nil.
func (l *connections) oldest(match func(*connection) bool) *connection {
	var oldest *connection
	for _, c := range l.all {
		if c.allocations == 0 && (oldest == nil || c.number < oldest.number) && match(c) {
			oldest = c
		}
	}
	return oldest
}

// allocated notes that an allocation of the peer at the remote address begins
// (1) or ends (-1).
func (l *connections) allocated(remote netip.AddrPort, change int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.all[remote]
	if c == nil {
		return
	}
	before := c.allocations
	c.allocations = max(0, before+change)
	switch {
	case before == 0 && c.allocations > 0:
		l.stopWaiting(c)
	case before > 0 && c.allocations == 0:
		l.waiting[source(c.remote.Addr())]++
		c.by = time.Now().Add(l.wait)
		_ = c.SetReadDeadline(c.by) // for the read under way
	}
}

// stopWaiting is called with the mutex held.
func (l *connections) stopWaiting(c *connection) {
	at := source(c.remote.Addr())
	if l.waiting[at]--; l.waiting[at] == 0 {
		delete(l.waiting, at)
	}
}

// remove is called with the mutex held. It does nothing for nil and for a
// connection that was removed.
func (c *connection) remove() {
	if c == nil || c.closed {
		return
	}
	c.closed = true
	delete(c.of.all, c.remote)
	if c.allocations == 0 {
		c.of.stopWaiting(c)
	}
}

// Close implements net.Listener.
func (l *connections) Close() error {
	err := l.Listener.Close()
	l.mu.Lock()
	l.closed = true
	var open []*connection
	for _, c := range l.all {
		open = append(open, c)
	}
	l.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
	return err
}

// Read fails when the connection has waited too long for an allocation, and
// when it is silent for longer than an allocation lives.
func (c *connection) Read(p []byte) (int, error) {
	c.of.mu.Lock()
	by := c.by
	if c.allocations > 0 {
		by = time.Now().Add(idleTime)
	}
	_ = c.SetReadDeadline(by)
	c.of.mu.Unlock()
	return c.Conn.Read(p)
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.of.mu.Lock()
	c.remove()
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// source returns the addresses that count as one: an IPv4 address, or an IPv6
// /64.
func source(ip netip.Addr) netip.Prefix {
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// addrPort returns a TCP or UDP address in one spelling, and the zero value for
// any other.
func addrPort(a net.Addr) netip.AddrPort {
	var at netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		at = a.AddrPort()
	case *net.UDPAddr:
		at = a.AddrPort()
	}
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
}
