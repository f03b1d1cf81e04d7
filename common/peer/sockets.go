package peer

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/pion/transport/v5"
)

// socket is the record of one socket.
type socket struct {
	n     *network
	close func() error
	heard atomic.Bool // something has been received
}

// track records a new socket. After abandon it closes the socket instead, which
// would stay open otherwise.
func (n *network) track(close func() error) (*socket, error) {
	s := &socket{n: n, close: close}
	n.mu.Lock()
	abandoned := n.abandoned
	if !abandoned {
		n.sockets[s] = struct{}{}
	}
	n.mu.Unlock()
	if abandoned {
		return nil, errors.Join(fmt.Errorf("%w: no further sockets", ErrLost), close())
	}
	return s, nil
}

func (s *socket) forget() {
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	delete(s.n.sockets, s)
}

type udpSocket struct {
	transport.UDPConn
	s *socket
}

func (c *udpSocket) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.UDPConn.ReadFrom(p)
		if err == nil {
			c.s.heard.Store(true)
			if c.s.n.held(from) {
				continue
			}
		}
		return n, from, err
	}
}

func (c *udpSocket) WriteTo(p []byte, to net.Addr) (int, error) {
	sent := c.s.n.hello.packet(p)
	n, err := c.UDPConn.WriteTo(sent, to)
	if err == nil && n == len(sent) {
		n = len(p)
	}
	return n, err
}

func (c *udpSocket) Close() error { c.s.forget(); return c.UDPConn.Close() }

type packetSocket struct {
	net.PacketConn
	s *socket
}

func (c *packetSocket) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.PacketConn.ReadFrom(p)
	if err == nil {
		c.s.heard.Store(true)
	}
	return n, from, err
}

func (c *packetSocket) Close() error { c.s.forget(); return c.PacketConn.Close() }

type tcpSocket struct {
	transport.TCPConn
	s *socket
}

func (c *tcpSocket) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if err == nil {
		c.s.heard.Store(true)
	}
	return n, err
}

func (c *tcpSocket) Close() error { c.s.forget(); return c.TCPConn.Close() }
