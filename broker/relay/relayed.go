package relay

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/pion/turn/v5"
	"golang.org/x/time/rate"
)

// job is what all allocations of one job share.
type job struct {
	allocations int
	up, down    *rate.Limiter // bytes
}

// jobs counts allocations. A job is forgotten with its last one.
type jobs struct {
	mu    sync.Mutex
	m     map[string]*job
	most  int
	bytes rate.Limit
}

func (j *jobs) full(id string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	have := j.m[id]
	return have != nil && have.allocations >= j.most
}

var errQuota = errors.New("the job has all the allocations that it may have")

func (j *jobs) take(id string) (*job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	have := j.m[id]
	if have == nil {
		have = &job{up: newLimiter(j.bytes), down: newLimiter(j.bytes)}
		j.m[id] = have
	}
	if have.allocations >= j.most {
		return nil, errQuota
	}
	have.allocations++
	return have, nil
}

func (j *jobs) give(id string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	have := j.m[id]
	if have.allocations--; have.allocations == 0 {
		delete(j.m, id)
	}
}

// newLimiter lets a quarter of a second's bytes through at once, and always a
// whole packet.
func newLimiter(bytes rate.Limit) *rate.Limiter {
	return rate.NewLimiter(bytes, max(int(bytes)/4, 64<<10))
}

// generator makes relayed sockets on the port range.
type generator struct {
	turn.RelayAddressGenerator
	s *Server
}

// AllocatePacketConn implements turn.RelayAddressGenerator.
func (g generator) AllocatePacketConn(conf turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	if conf.RequestedPort != 0 {
		return nil, nil, errors.New("a relayed port cannot be chosen")
	}
	j, err := g.s.jobs.take(conf.UserID)
	if err != nil {
		return nil, nil, err
	}
	conn, addr, err := g.RelayAddressGenerator.AllocatePacketConn(conf)
	if err != nil {
		g.s.jobs.give(conf.UserID)
		g.s.metrics.refusals.WithLabelValues("ports").Inc()
		return nil, nil, fmt.Errorf("find a free port to relay on: %w", err)
	}
	g.s.metrics.allocations.Inc()
	g.s.metrics.open.Inc()
	return &relayed{PacketConn: conn, s: g.s, job: j, closed: sync.OnceValue(func() error {
		g.s.jobs.give(conf.UserID)
		g.s.metrics.open.Dec()
		return conn.Close()
	})}, addr, nil
}

// errNoTCP is for RFC 6062, which would make TCP connections for a peer.
var errNoTCP = errors.New("this relay has no TCP allocations")

// AllocateListener implements turn.RelayAddressGenerator.
func (generator) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errNoTCP
}

// AllocateConn implements turn.RelayAddressGenerator.
func (generator) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) { return nil, errNoTCP }

// relayed is the socket of one allocation. It drops what goes beyond the rate
// or to a forbidden address, and so never holds up the server's loops.
type relayed struct {
	net.PacketConn
	s      *Server
	job    *job
	closed func() error
}

// ReadFrom returns the next packet from a peer that is within the rate.
func (c *relayed) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.PacketConn.ReadFrom(p)
		if err != nil {
			return n, from, err
		}
		if c.s.pass(c.job.down, c.s.total, n) {
			return n, from, nil
		}
	}
}

// WriteTo sends a packet to a peer, or drops it.
func (c *relayed) WriteTo(p []byte, to net.Addr) (int, error) {
	udp, ok := to.(*net.UDPAddr)
	if !ok || !c.s.maySend(udp.AddrPort()) {
		c.s.metrics.refusals.WithLabelValues("peer").Inc()
		return len(p), nil
	}
	if !c.s.pass(c.job.up, c.s.total, len(p)) {
		return len(p), nil
	}
	return c.PacketConn.WriteTo(p, to)
}

// Close frees the port.
func (c *relayed) Close() error { return c.closed() }
