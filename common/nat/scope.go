package nat

import (
	"net/netip"
	"slices"
)

// Scope is how far an IP address reaches.
type Scope int

// The scopes.
const (
	// Global addresses reach across the Internet. Documentation ranges count as
	// global: no host has one, and laboratories are built of them.
	Global Scope = iota
	// Private addresses are valid within one network, or behind one provider's
	// NAT: RFC 1918, RFC 4193, RFC 6598.
	Private
	// Loopback addresses are valid on one machine.
	Loopback
	// Special addresses never belong to another end of a connection: multicast,
	// link-local, reserved and transition ranges, and the addresses at which
	// cloud platforms serve their virtual machines.
	Special
)

// ScopeOf returns the scope of an address. IPv4 addresses in IPv6 form count as
// IPv4 addresses; an invalid address is Special.
func ScopeOf(ip netip.Addr) Scope {
	ip = ip.Unmap().WithZone("")
	in := func(ranges []netip.Prefix) bool {
		return slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(ip) })
	}
	switch {
	case !ip.IsValid(), ip.IsUnspecified(), ip.IsMulticast(), ip.IsLinkLocalUnicast():
		return Special
	case ip.IsLoopback():
		return Loopback
	case in(special[:]):
		return Special
	case ip.IsPrivate(), carrierNAT.Contains(ip):
		return Private
	}
	return Global
}

// Public reports whether a host on the public Internet can have the address: it is
// Global, of no documentation range, and among the IPv6 addresses that are in use.
func Public(ip netip.Addr) bool {
	zone := ip.Zone()
	ip = ip.Unmap()
	if zone != "" || ScopeOf(ip) != Global || ip.Is6() && !inUse.Contains(ip) {
		return false
	}
	return !slices.ContainsFunc(documentation[:], func(p netip.Prefix) bool { return p.Contains(ip) })
}

var inUse = netip.MustParsePrefix("2000::/3") // RFC 4291

var documentation = [...]netip.Prefix{
	netip.MustParsePrefix("192.0.2.0/24"), // RFC 5737
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("2001:db8::/32"), // RFC 3849
	netip.MustParsePrefix("3fff::/20"),     // RFC 9637
}

var carrierNAT = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

var special = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network (RFC 1122)
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments (RFC 6890)
	netip.MustParsePrefix("192.88.99.0/24"),  // 6to4 relays (RFC 7526)
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks (RFC 2544)
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, and broadcast
	netip.MustParsePrefix("64:ff9b::/96"),    // NAT64, which may lead anywhere (RFC 6052)
	netip.MustParsePrefix("64:ff9b:1::/48"),  // the same for local use (RFC 8215)
	netip.MustParsePrefix("100::/64"),        // discarded (RFC 6666)
	netip.MustParsePrefix("2002::/16"),       // 6to4 (RFC 3056)
	netip.MustParsePrefix("2001::/23"),       // protocol assignments, Teredo (RFC 2928, RFC 4380)
	netip.MustParsePrefix("fec0::/10"),       // site-local (RFC 3879)
	netip.MustParsePrefix("::ffff:0:0:0/96"), // IPv4-translated (RFC 2765)
	netip.MustParsePrefix("::/96"),           // IPv4-compatible (RFC 4291)

	netip.MustParsePrefix("168.63.129.16/32"),   // Azure's platform
	netip.MustParsePrefix("100.100.100.200/32"), // Alibaba's metadata
	netip.MustParsePrefix("192.0.0.192/32"),     // Oracle's metadata
	netip.MustParsePrefix("fd00:ec2::/32"),      // AWS' metadata and time
	netip.MustParsePrefix("fd20:ce::254/128"),   // Google's metadata
}
