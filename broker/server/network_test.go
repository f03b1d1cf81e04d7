package server

import (
	"net/netip"
	"testing"
)

func TestSameNetwork(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"203.0.113.7", "203.0.113.7", true}, {"203.0.113.7", "203.0.113.8", false},
		{"2001:db8:1:2::7", "2001:db8:1:2::8", true}, {"2001:db8:1:2::7", "2001:db8:1:3::7", false},
		{"203.0.113.7", "2001:db8::7", false},
		{"192.168.1.5", "192.168.1.7", true}, {"10.0.0.5", "203.0.113.7", true}, {"127.0.0.1", "127.0.0.1", true},
		{"", "203.0.113.7", false}, {"", "", false},
	} {
		a, b := parseAddress(c.a), parseAddress(c.b)
		if got, back := sameNetwork(a, b), sameNetwork(b, a); got != c.want || back != c.want {
			t.Errorf("%s and %s: %v, %v", c.a, c.b, got, back)
		}
	}
}

// TestNeighboursAreTold: the broker and both ends are on loopback here; behind
// a proxy that tells public addresses they are not.
func TestNeighboursAreTold(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.login(a)
	poll := b.park(t.Context(), a)
	g := b.grant()
	job := b.meet(g, a, poll)
	if !g.SameNetwork || !job.SameNetwork {
		t.Errorf("on loopback: %v to the client, %v to the agent", g.SameNetwork, job.SameNetwork)
	}

	p := newPlaces()
	p.sawAgent("far", netip.MustParseAddr("203.0.113.7"))
	p.clients.first("job", netip.MustParseAddr("203.0.113.8"))
	if p.together("job", "far") || p.together("job", "unknown") || p.together("unknown", "far") {
		t.Error("who is far is told to be near")
	}
}
