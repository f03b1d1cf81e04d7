package nat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/pion/stun/v4"
)

// tries are the waits for each try of a request: the first ones of RFC 8489,
// section 6.2.1, because three losses in a row are unlikely.
var tries = []time.Duration{150 * time.Millisecond, 300 * time.Millisecond, 600 * time.Millisecond}

// errSilent is the error of a test without an answer.
var errSilent = errors.New("no answer")

// Flags of CHANGE-REQUEST (RFC 5780, section 7.2).
const (
	changeIP   = 0x04
	changePort = 0x02
)

// Probe runs the tests with a STUN server, HOST:PORT. It takes a few round trips,
// and up to three seconds where packets are dropped. A server without RFC 5780
// leaves all but Blocked unknown. One with a single address cannot distinguish
// "independent" from "address": Probe then returns the former for the mapping and
// the latter for the filtering.
//
// It fails if the server cannot be looked up, and when ctx ends.
func Probe(ctx context.Context, server string) (NAT, error) {
	at, err := resolve(ctx, server)
	if err != nil {
		return NAT{}, fmt.Errorf("probe the NAT: %w", err)
	}
	p, err := open(at)
	if err != nil {
		return NAT{}, fmt.Errorf("probe the NAT: %w", err)
	}
	defer p.Close()
	first, err := p.ask(ctx, at, 0)
	switch {
	case errors.Is(err, errSilent):
		return NAT{Blocked: true}, nil
	case err != nil:
		return NAT{}, fmt.Errorf("probe the NAT: %w", err)
	case !first.other.IsValid():
		return NAT{}, nil
	}
	n := NAT{}
	if n.Mapping, err = p.mapping(ctx, at, first); err != nil {
		return NAT{}, fmt.Errorf("probe the NAT: %w", err)
	}
	if n.Filtering, err = filtering(ctx, at, first.other); err != nil {
		return NAT{}, fmt.Errorf("probe the NAT: %w", err)
	}
	n.Open = p.has(first.mapped) && n.Filtering != Port
	return n, nil
}

// mapping runs the test of section 4.3.
func (p *probe) mapping(ctx context.Context, at netip.AddrPort, first answer) (Dependence, error) {
	if first.other.Addr() == at.Addr() { // one address: other ports only
		second, err := p.ask(ctx, first.other, 0)
		switch {
		case errors.Is(err, errSilent):
			return Unknown, nil
		case err != nil:
			return Unknown, err
		case second.mapped == first.mapped:
			return Independent, nil
		}
		return Port, nil
	}
	second, err := p.ask(ctx, netip.AddrPortFrom(first.other.Addr(), at.Port()), 0)
	if errors.Is(err, errSilent) {
		return Unknown, nil
	}
	if err != nil || second.mapped == first.mapped {
		return Independent, err
	}
	third, err := p.ask(ctx, first.other, 0)
	switch {
	case errors.Is(err, errSilent):
		return Unknown, nil
	case err == nil && third.mapped == second.mapped:
		return Address, nil
	}
	return Port, err
}

// filtering runs the test of section 4.4. It needs a socket of its own: packets
// from addresses that the first socket has sent to are not filtered any more.
func filtering(ctx context.Context, at, other netip.AddrPort) (Dependence, error) {
	p, err := open(at)
	if err != nil {
		return Unknown, err
	}
	defer p.Close()
	if other.Addr() != at.Addr() {
		if _, err := p.ask(ctx, at, changeIP|changePort); !errors.Is(err, errSilent) {
			return Independent, err
		}
	}
	if _, err := p.ask(ctx, at, changePort); !errors.Is(err, errSilent) {
		return Address, err
	}
	// Either the filter dropped it, or the server is gone.
	if _, err := p.ask(ctx, at, 0); err != nil {
		if errors.Is(err, errSilent) {
			return Unknown, nil
		}
		return Unknown, err
	}
	return Port, nil
}

// probe is one socket.
type probe struct{ *net.UDPConn }

func open(to netip.AddrPort) (*probe, error) {
	network := "udp4"
	if to.Addr().Is6() {
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, nil)
	return &probe{conn}, err
}

// has reports whether the address is this machine's own.
func (p *probe) has(mapped netip.AddrPort) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil || int(mapped.Port()) != p.LocalAddr().(*net.UDPAddr).Port {
		return false
	}
	for _, a := range addrs {
		if own, err := netip.ParsePrefix(a.String()); err == nil && own.Addr().Unmap() == mapped.Addr() {
			return true
		}
	}
	return false
}

// answer is a STUN response.
type answer struct{ mapped, other netip.AddrPort }

// ask sends a Binding request until an answer arrives, and returns errSilent if
// none does.
func (p *probe) ask(ctx context.Context, to netip.AddrPort, change byte) (answer, error) {
	setters := []stun.Setter{stun.TransactionID, stun.BindingRequest}
	if change != 0 {
		setters = append(setters, stun.RawAttribute{Type: stun.AttrChangeRequest, Value: []byte{0, 0, 0, change}})
	}
	request, err := stun.Build(setters...)
	if err != nil {
		return answer{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = p.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for _, wait := range tries {
		if ctx.Err() != nil {
			return answer{}, ctx.Err()
		}
		if _, err := p.WriteToUDPAddrPort(request.Raw, to); err != nil {
			continue // a firewall may refuse to send
		}
		if a, ok := p.await(ctx, request.TransactionID, time.Now().Add(wait)); ok {
			return a, nil
		}
	}
	if ctx.Err() != nil {
		return answer{}, ctx.Err()
	}
	return answer{}, errSilent
}

func (p *probe) await(ctx context.Context, id [stun.TransactionIDSize]byte, until time.Time) (answer, bool) {
	packet := make([]byte, 1500)
	for ctx.Err() == nil {
		_ = p.SetReadDeadline(until)
		n, _, err := p.ReadFromUDPAddrPort(packet)
		if err != nil {
			if time.Now().After(until) || ctx.Err() != nil {
				return answer{}, false
			}
			continue // an ICMP error of an earlier try
		}
		if a, ok := read(packet[:n], id); ok {
			return a, true
		}
	}
	return answer{}, false
}

// read decodes the response to the request with the id.
func read(packet []byte, id [stun.TransactionIDSize]byte) (answer, bool) {
	var m stun.Message
	if stun.Decode(packet, &m) != nil || m.Type != stun.BindingSuccess || m.TransactionID != id {
		return answer{}, false
	}
	var mapped stun.XORMappedAddress
	if mapped.GetFrom(&m) != nil {
		return answer{}, false
	}
	a := answer{mapped: addrPort(mapped.IP, mapped.Port)}
	var other stun.OtherAddress
	if other.GetFrom(&m) == nil {
		a.other = addrPort(other.IP, other.Port)
	}
	return a, a.mapped.IsValid()
}

func addrPort(ip net.IP, port int) netip.AddrPort {
	addr, ok := netip.AddrFromSlice(ip)
	if !ok || port < 1 || port > 65535 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(port))
}

func resolve(ctx context.Context, server string) (netip.AddrPort, error) {
	if at, err := netip.ParseAddrPort(server); err == nil {
		return at, nil
	}
	host, service, err := net.SplitHostPort(server)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "udp", service)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(ips[0].Unmap(), uint16(port)), nil
}
