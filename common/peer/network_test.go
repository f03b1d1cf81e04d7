package peer

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
)

// TestRelayedPacketsAreHeldBack: ICE takes a packet through a relay for a direct
// path, so such packets are dropped until a real direct path had time to appear.
func TestRelayedPacketsAreHeldBack(t *testing.T) {
	n, err := newNetwork(new(hello))
	if err != nil {
		t.Fatal(err)
	}
	defer n.cancel()
	at := func(text string) net.Addr { return net.UDPAddrFromAddrPort(netip.MustParseAddrPort(text)) }
	if n.held(at("203.0.113.1:50000")) {
		t.Error("held back without a relay")
	}
	n.holdBack([]api.ICEServer{
		{URLs: []string{"stun:198.51.100.1:3478"}},
		{URLs: []string{"turn:203.0.113.1:3478?transport=udp", "turn:203.0.113.1:443?transport=tcp", "turns:relay.example.org:5349", "nonsense"}},
	})
	for text, want := range map[string]bool{
		"203.0.113.1:50000": true, "[::ffff:203.0.113.1]:50000": true,
		"203.0.113.1:3478":  false, // the server itself
		"203.0.113.2:50000": false, "198.51.100.1:50000": false,
	} {
		if got := n.held(at(text)); got != want {
			t.Errorf("%s: %v before the answer", text, got)
		}
	}
	n.admit(time.Hour)
	if !n.held(at("203.0.113.1:50000")) {
		t.Error("admitted at once")
	}
	n.admit(0)
	if n.held(at("203.0.113.1:50000")) {
		t.Error("still held back after admit")
	}
}
