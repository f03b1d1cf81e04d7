package jobs

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
		a, b := addr(c.a), addr(c.b)
		if got, back := sameNetwork(a, b), sameNetwork(b, a); got != c.want || back != c.want {
			t.Errorf("%s and %s: %v, %v", c.a, c.b, got, back)
		}
	}
}

func TestFarAgentsAreNotBeside(t *testing.T) {
	n := newNetwork()
	n.sawAgent("far", addr("203.0.113.7"))
	if at := addr("203.0.113.8"); n.beside("far", at) || n.beside("unknown", at) || n.beside("far", netip.Addr{}) {
		t.Error("a far agent is beside the client")
	}
	n.sawAgent("far", addr("203.0.113.8"))
	if !n.beside("far", addr("203.0.113.8")) {
		t.Error("the agent's newest address does not count")
	}
}

// addr returns the invalid address for "".
func addr(s string) netip.Addr {
	a, _ := netip.ParseAddr(s)
	return a
}
