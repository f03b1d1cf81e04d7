package peer

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"

	"github.com/farforge/farforge/common/api"
)

// dialTimeout bounds the connection to a relay over TCP. A longer one means that a
// firewall drops the packets.
const dialTimeout = 5 * time.Second

// network makes the sockets of one peer connection. They have larger buffers, and
// gathering can be cut short; without that, closing a connection would wait for
// STUN and TURN servers that do not answer.
type network struct {
	*stdnet.Net
	ctx    context.Context
	cancel context.CancelFunc
	hello  *hello

	mu        sync.Mutex
	abandoned bool
	sockets   map[*socket]struct{}

	// relays are the TURN servers by address, with the ports that they serve
	// on. It is set before any socket is made.
	relays map[netip.Addr]map[uint16]bool
	// relaysFrom is the time from which packets that they relay are admitted, in
	// Unix nanoseconds; 0 is never.
	relaysFrom atomic.Int64
}

// holdBack drops packets that come through the servers' relays until admit. Their
// source address is unknown to ICE, which would at once take it for a direct
// path.
func (n *network) holdBack(servers []api.ICEServer) {
	n.relays = map[netip.Addr]map[uint16]bool{}
	for _, server := range servers {
		for _, text := range server.URLs {
			u, err := stun.ParseURI(text)
			if err != nil || u.Scheme == stun.SchemeTypeSTUN {
				continue
			}
			ip, err := netip.ParseAddr(u.Host)
			if err != nil {
				continue // our brokers send addresses
			}
			if n.relays[ip] == nil {
				n.relays[ip] = map[uint16]bool{}
			}
			n.relays[ip][uint16(u.Port)] = true
		}
	}
}

// admit ends the holding back of relayed packets after a time.
func (n *network) admit(after time.Duration) {
	n.relaysFrom.Store(time.Now().Add(after).UnixNano())
}

// held reports whether a packet from the address is dropped.
func (n *network) held(from net.Addr) bool {
	if len(n.relays) == 0 {
		return false
	}
	udp, ok := from.(*net.UDPAddr)
	if !ok {
		return false
	}
	at := udp.AddrPort()
	ports, ok := n.relays[at.Addr().Unmap()]
	if !ok || ports[at.Port()] {
		return false
	}
	when := n.relaysFrom.Load()
	return when == 0 || time.Now().UnixNano() < when
}

func newNetwork(h *hello) (*network, error) {
	std, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	n := &network{Net: std, hello: h, sockets: map[*socket]struct{}{}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n, nil
}

// abandon ends all waits for servers that have not answered, and refuses further
// sockets. Sockets that have received something stay open: DTLS and SCTP send
// their farewell over one of them.
func (n *network) abandon() {
	n.cancel()
	n.mu.Lock()
	n.abandoned = true
	var silent []*socket
	for s := range n.sockets {
		if !s.heard.Load() {
			silent = append(silent, s)
		}
	}
	n.mu.Unlock()
	for _, s := range silent {
		_ = s.close()
	}
}

// ListenUDP implements transport.Net.
func (n *network) ListenUDP(nw string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.Net.ListenUDP(nw, local)
	if err != nil {
		return nil, err
	}
	// Smaller buffers are slower, not wrong.
	_ = conn.SetReadBuffer(socketBuffer)
	_ = conn.SetWriteBuffer(socketBuffer)
	s, err := n.track(conn.Close)
	if err != nil {
		return nil, err
	}
	return &udpSocket{conn, s}, nil
}

// ListenPacket implements transport.Net.
func (n *network) ListenPacket(nw, address string) (net.PacketConn, error) {
	conn, err := n.Net.ListenPacket(nw, address)
	if err != nil {
		return nil, err
	}
	if b, ok := conn.(interface {
		SetReadBuffer(int) error
		SetWriteBuffer(int) error
	}); ok {
		_ = b.SetReadBuffer(socketBuffer)
		_ = b.SetWriteBuffer(socketBuffer)
	}
	s, err := n.track(conn.Close)
	if err != nil {
		return nil, err
	}
	return &packetSocket{conn, s}, nil
}

// DialTCP implements transport.Net.
func (n *network) DialTCP(nw string, local, remote *net.TCPAddr) (transport.TCPConn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	if local != nil {
		dialer.LocalAddr = local
	}
	conn, err := dialer.DialContext(n.ctx, nw, remote.String())
	if err != nil {
		return nil, err
	}
	tcp := conn.(*net.TCPConn)
	s, err := n.track(tcp.Close)
	if err != nil {
		return nil, err
	}
	return &tcpSocket{tcp, s}, nil
}

// ResolveUDPAddr implements transport.Net.
func (n *network) ResolveUDPAddr(nw, address string) (*net.UDPAddr, error) {
	at, err := n.resolve(nw, address)
	return net.UDPAddrFromAddrPort(at), err
}

// ResolveTCPAddr implements transport.Net.
func (n *network) ResolveTCPAddr(nw, address string) (*net.TCPAddr, error) {
	at, err := n.resolve(nw, address)
	return net.TCPAddrFromAddrPort(at), err
}

// resolve is net.ResolveUDPAddr with the network's context.
func (n *network) resolve(nw, address string) (netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := net.DefaultResolver.LookupPort(n.ctx, nw, service)
	if err != nil {
		return netip.AddrPort{}, err
	}
	family := "ip"
	if last := nw[len(nw)-1]; last == '4' || last == '6' {
		family += string(last)
	}
	ips, err := net.DefaultResolver.LookupNetIP(n.ctx, family, host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(ips[0].Unmap(), uint16(port)), nil
}

// hostAddresses lists the addresses that ICE gathers host candidates for, by
// the rules of RFC 8445, section 5.1.1.1.
func (n *network) hostAddresses(loopback bool) map[netip.Addr]bool {
	found := map[netip.Addr]bool{}
	interfaces, err := n.Interfaces()
	if err != nil {
		return found
	}
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if i.Flags&net.FlagUp == 0 || err != nil {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				ip := p.Addr().Unmap()
				if ip.IsLoopback() == loopback && !(ip.Is6() && (ip.IsLinkLocalUnicast() || outdated(ip))) {
					found[ip] = true
				}
			}
		}
	}
	return found
}

// outdated reports whether ICE leaves out an IPv6 address: an IPv4-compatible
// one, which includes ::1, or a site-local one.
func outdated(ip netip.Addr) bool {
	b := ip.As16()
	return [12]byte(b[:12]) == [12]byte{} || b[0] == 0xfe && b[1]&0xc0 == 0xc0
}
