package relay

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v4"

	"github.com/farforge/farforge/common/nat"
)

// TestNATsAreProbed runs our client of RFC 5780 against our server, with one
// address and with two. There is no NAT on loopback.
func TestNATsAreProbed(t *testing.T) {
	for name, ips := range map[string][]netip.Addr{
		"one address": {loopback}, "two addresses": {loopback, netip.MustParseAddr("127.0.0.1").Next()},
	} {
		t.Run(name, func(t *testing.T) {
			s := listenOn(t, ips)
			got, err := nat.Probe(t.Context(), s.corners[0][0].LocalAddr().String())
			if err != nil || got.String() != "open" {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

func listenOn(t *testing.T, ips []netip.Addr) *Server {
	t.Helper()
	addrs, err := localAddresses()
	if err != nil {
		t.Fatal(err)
	}
	// 127.0.0.2 is not in the list of this machine's addresses, but can be bound.
	addrs = append(addrs, ips...)
	c, err := listenCorners(ips, addrs, 0)
	if err != nil {
		t.Skipf("this machine has no second loopback address: %v", err)
	}
	s := &Server{cfg: Config{PublicIPs: ips}, corners: c}
	for i := range c {
		for j := range c[i] {
			s.loops.Go(func() { s.serveSTUN(i, j) })
		}
	}
	t.Cleanup(func() { c.close(); s.loops.Wait() })
	return s
}

// TestAnswersComeFromTheRequestedCorner tries all flags of CHANGE-REQUEST.
func TestAnswersComeFromTheRequestedCorner(t *testing.T) {
	one := listenOn(t, []netip.Addr{loopback})
	two := listenOn(t, []netip.Addr{loopback, loopback.Next()})
	for _, c := range []struct {
		s      *Server
		change []byte
		i, j   int // -1: no answer
	}{
		{one, nil, 0, 0}, {one, []byte{0, 0, 0, 2}, 0, 1}, {one, []byte{0, 0, 0, 6}, -1, 0}, {one, []byte{0, 0, 0, 4}, -1, 0},
		{two, nil, 0, 0}, {two, []byte{0, 0, 0, 2}, 0, 1}, {two, []byte{0, 0, 0, 4}, 1, 0}, {two, []byte{0, 0, 0, 6}, 1, 1},
		{two, []byte{6}, -1, 0},
	} {
		conn := packetConn(t)
		setters := []stun.Setter{stun.TransactionID, stun.BindingRequest}
		if c.change != nil {
			setters = append(setters, stun.RawAttribute{Type: stun.AttrChangeRequest, Value: c.change})
		}
		request := stun.MustBuild(setters...)
		if _, err := conn.WriteTo(request.Raw, c.s.corners[0][0].LocalAddr()); err != nil {
			t.Fatal(err)
		}
		wait := 5 * time.Second
		if c.i < 0 {
			wait = 30 * time.Millisecond
		}
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		packet := make([]byte, 1500)
		n, from, err := conn.ReadFrom(packet)
		if c.i < 0 {
			if err == nil {
				t.Errorf("%v was answered from %v", c.change, from)
			}
			continue
		}
		var m stun.Message
		if err != nil || stun.Decode(packet[:n], &m) != nil || from.String() != c.s.corners[c.i][c.j].LocalAddr().String() {
			t.Errorf("%v: from %v, %v; want %v", c.change, from, err, c.s.corners[c.i][c.j].LocalAddr())
			continue
		}
		var origin stun.ResponseOrigin
		if err := origin.GetFrom(&m); err != nil || origin.String() != from.(*net.UDPAddr).String() {
			t.Errorf("%v names the origin %v, but comes from %v", c.change, origin, from)
		}
	}
}
