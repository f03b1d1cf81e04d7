package relay

import (
	"net"
	"net/netip"
	"slices"

	"github.com/farforge/farforge/common/nat"
)

// mayReach reports whether the relay may send to a peer at the address. private
// admits the networks of this machine, for laboratories.
func mayReach(ip netip.Addr, private bool) bool {
	switch nat.ScopeOf(ip) {
	case nat.Global:
		return true
	case nat.Private, nat.Loopback:
		return private
	}
	return false
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

// maySend checks each packet, because permit does not know the port: on the
// relay's own addresses only relayed ports are peers; the others are services
// of this machine.
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
