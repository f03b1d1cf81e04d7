package relay

import (
	"net"
	"net/netip"
	"slices"
)

// refused are ranges beside those that netip knows by name. Documentation
// ranges are not among them: no such host exists on the Internet, and the NAT
// laboratory is built of them.
var refused = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network (RFC 1122)
	netip.MustParsePrefix("100.64.0.0/10"),   // carrier-grade NAT (RFC 6598)
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments (RFC 6890)
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks (RFC 2544)
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, and broadcast
	netip.MustParsePrefix("64:ff9b::/96"),    // NAT64, which may lead anywhere (RFC 6052)
	netip.MustParsePrefix("64:ff9b:1::/48"),  // the same for local use (RFC 8215)
	netip.MustParsePrefix("2002::/16"),       // 6to4 (RFC 3056)
	netip.MustParsePrefix("2001::/32"),       // Teredo (RFC 4380)
	netip.MustParsePrefix("fec0::/10"),       // site-local (RFC 3879)
	netip.MustParsePrefix("::ffff:0:0:0/96"), // IPv4-translated (RFC 2765)
	netip.MustParsePrefix("::/96"),           // IPv4-compatible (RFC 4291)
}

// mayReach tells whether the relay may send to the address for a peer. private
// lets it send into this machine's own networks, for laboratories.
func mayReach(ip netip.Addr, private bool) bool {
	ip = ip.Unmap().WithZone("")
	switch {
	case !ip.IsValid(), ip.IsUnspecified(), ip.IsMulticast(), ip.IsLinkLocalUnicast():
		return false
	case ip.IsLoopback(), ip.IsPrivate():
		return private
	}
	return !slices.ContainsFunc(refused, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// permit implements turn.PermissionHandler.
func (s *Server) permit(_ net.Addr, peer net.IP) bool {
	ip, ok := netip.AddrFromSlice(peer)
	if ok && mayReach(ip, s.cfg.AllowPrivate) {
		return true
	}
	s.metrics.refusals.WithLabelValues("peer").Inc()
	return false
}

// maySend judges each packet. What permit cannot see is the port: on the
// relay's own address only other relayed ports are peers, all else is a
// service of this machine.
func (s *Server) maySend(to netip.AddrPort) bool {
	ip := to.Addr().Unmap()
	if !mayReach(ip, s.cfg.AllowPrivate) {
		return false
	}
	if s.cfg.AllowPrivate || !s.isOwn(ip) {
		return true
	}
	return to.Port() >= s.cfg.MinPort && to.Port() <= s.cfg.MaxPort
}

func (s *Server) isOwn(ip netip.Addr) bool {
	return slices.Contains(s.cfg.PublicIPs, ip) || slices.Contains(s.local, ip)
}
