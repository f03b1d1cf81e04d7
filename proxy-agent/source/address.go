package source

import (
	"fmt"
	"net/netip"
	"syscall"
)

// special are the ranges that are not for hosts on the public internet, or that
// lead to such ranges in disguise, beyond those that net/netip knows: from the
// IANA special-purpose address registries (RFC 6890).
var special = mustParse(
	"0.0.0.0/8",       // this network
	"100.64.0.0/10",   // shared by carriers
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // 6to4 relays
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"240.0.0.0/4",     // reserved, and broadcast
	"2001::/23",       // protocol assignments, Teredo
	"2001:db8::/32",   // documentation
	"2002::/16",       // 6to4 holds an IPv4 address
	"3fff::/20",       // documentation
)

// global is where public IPv6 addresses are; all else is special, such as
// 64:ff9b::/96, which holds IPv4 addresses.
var global = netip.MustParsePrefix("2000::/3")

func mustParse(prefixes ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(prefixes))
	for i, p := range prefixes {
		all[i] = netip.MustParsePrefix(p)
	}
	return all
}

// public tells whether ip is a unicast address on the public internet.
func public(ip netip.Addr) bool {
	ip = ip.Unmap()
	if ip.Zone() != "" || !ip.IsGlobalUnicast() || ip.IsPrivate() || (ip.Is6() && !global.Contains(ip)) {
		return false
	}
	for _, p := range special {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

// control judges the address of a connection just before it is made, so after
// every resolution: a name that resolves anew for each question gains nothing.
func (f *Fetcher) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("judge the address %s: %w", address, err)
	}
	if public(at.Addr()) || (f.cfg.Loopback && at.Addr().IsLoopback()) {
		return nil
	}
	return refuse("the source's host is at %s, which is not a public address; the agent does not fetch from there", at.Addr())
}
