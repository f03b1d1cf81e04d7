package nat

import (
	"net/netip"
	"testing"
)

func TestScopeOf(t *testing.T) {
	for scope, addresses := range map[Scope][]string{
		Global:   {"8.8.8.8", "203.0.113.9", "198.51.100.1", "2001:db8::9", "2606:4700::1", "::ffff:8.8.8.8"},
		Private:  {"10.1.2.3", "172.31.0.1", "192.168.1.7", "100.64.1.7", "fd12::1", "::ffff:10.0.0.1"},
		Loopback: {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"},
		Special: {
			"0.0.0.0", "0.1.2.3", "::", "224.0.0.251", "ff02::fb", "169.254.169.254", "fe80::1", "fe80::1%eth0",
			"192.0.0.192", "198.18.0.1", "240.0.0.1", "255.255.255.255", "64:ff9b::a00:1", "2002:a00:1::", "2001::1",
			"fec0::1", "::a00:1", "::ffff:0:a00:1", "168.63.129.16", "100.100.100.200", "fd00:ec2::254", "::ffff:169.254.169.254",
		},
	} {
		for _, text := range addresses {
			if got := ScopeOf(netip.MustParseAddr(text)); got != scope {
				t.Errorf("%s has the scope %d, want %d", text, got, scope)
			}
		}
	}
	if ScopeOf(netip.Addr{}) != Special {
		t.Error("no address has a scope")
	}
}

func TestPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"1.1.1.1": true, "140.82.121.4": true, "172.32.0.1": true, "2606:4700::1111": true, "::ffff:1.1.1.1": true,
		"127.0.0.1": false, "127.9.9.9": false, "10.1.2.3": false, "172.31.255.255": false, "192.168.0.1": false,
		"169.254.1.1": false, "0.0.0.0": false, "0.1.2.3": false, "224.0.0.251": false, "239.1.1.1": false, "240.0.0.1": false,
		"255.255.255.255": false, "100.127.255.255": false, "192.0.0.8": false, "192.0.2.1": false, "198.18.0.1": false,
		"198.51.100.7": false, "203.0.113.7": false, "::1": false, "::": false, "fe80::1": false, "fe80::1%eth0": false,
		"fc00::1": false, "ff02::1": false, "2001:db8::1": false, "2001::1": false, "2002:7f00:1::": false, "3fff::1": false,
		"64:ff9b::7f00:1": false, "168.63.129.16": false, "100.100.100.200": false, "4000::1": false, "::ffff:127.0.0.1": false, "::ffff:192.168.0.1": false, "::7f00:1": false, "fec0::1": false,
	} {
		if got := Public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
