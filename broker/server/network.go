package server

import (
	"net/http"
	"net/netip"
	"sync"
)

// places remembers from where agents and clients were last seen, to tell which
// share a network. It has one address an agent that has ever been listed, and
// those of the latest jobs.
type places struct {
	mu      sync.Mutex
	agents  map[string]netip.Addr // by fingerprint
	clients *recent[netip.Addr]   // by job
}

func newPlaces() *places {
	return &places{agents: map[string]netip.Addr{}, clients: newRecent[netip.Addr](1 << 13)}
}

func (p *places) sawAgent(fingerprint string, at netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.agents[fingerprint] = at
}

// beside tells whether the agent was last seen in the network of the address.
func (p *places) beside(fingerprint string, at netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return sameNetwork(p.agents[fingerprint], at)
}

// together tells whether the job's client and the agent share a network.
func (p *places) together(jobID, fingerprint string) bool {
	at, ok := p.clients.of(jobID)
	return ok && p.beside(fingerprint, at)
}

// sameNetwork tells whether two who were seen with these addresses may reach
// each other by addresses that mean nothing elsewhere: they are behind one NAT,
// or in one IPv6 network, or in the broker's own network, as it knows one of
// them by a private address.
func sameNetwork(a, b netip.Addr) bool {
	if !a.IsValid() || !b.IsValid() {
		return false
	}
	for _, addr := range []netip.Addr{a, b} {
		if addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast() {
			return true
		}
	}
	if a.Is6() && b.Is6() {
		return netip.PrefixFrom(a, 64).Masked() == netip.PrefixFrom(b, 64).Masked()
	}
	return a == b
}

// placeOf is from where the request comes; see proxies.address.
func (s *Server) placeOf(r *http.Request) netip.Addr {
	return proxies(s.cfg.TrustedProxies).address(r)
}
