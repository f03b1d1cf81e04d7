package relay

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/pion/turn/v5"
)

// generator makes relayed sockets on the port range.
type generator struct {
	turn.RelayAddressGenerator
	s *Server
}

// AllocatePacketConn implements turn.RelayAddressGenerator.
func (g generator) AllocatePacketConn(conf turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	if conf.RequestedPort != 0 {
		return nil, nil, errors.New("a peer cannot choose its relayed port")
	}
	p, err := parseParty(conf.UserID) // pion looks for even ports without a user
	if err != nil {
		return nil, nil, err
	}
	j, err := g.s.usage.take(p)
	if err != nil {
		return nil, nil, err
	}
	conn, addr, err := g.RelayAddressGenerator.AllocatePacketConn(conf)
	if err != nil {
		g.s.usage.give(p)
		g.s.metrics.refusals.WithLabelValues("ports").Inc()
		return nil, nil, fmt.Errorf("find a free port to relay on: %w", err)
	}
	g.s.allocated(p.remote, 1)
	g.s.metrics.allocations.Inc()
	g.s.metrics.open.Inc()
	return &relayed{PacketConn: conn, s: g.s, job: j, closed: sync.OnceValue(func() error {
		g.s.usage.give(p)
		g.s.allocated(p.remote, -1)
		g.s.metrics.open.Dec()
		return conn.Close()
	})}, addr, nil
}

// errNoTCP refuses RFC 6062, by which the relay would dial for a peer.
var errNoTCP = errors.New("this relay has no TCP allocations")

// AllocateListener implements turn.RelayAddressGenerator.
func (generator) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errNoTCP
}

// AllocateConn implements turn.RelayAddressGenerator.
func (generator) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) { return nil, errNoTCP }

// relayed is the socket of one allocation. It drops packets beyond the rate and
// to forbidden addresses, so it never delays the server's loops.
type relayed struct {
	net.PacketConn
	s      *Server
	job    *job
	closed func() error
}

// ReadFrom returns the next packet of a peer within the rate.
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
