package jobs

import (
	"net/netip"
	"sync"
)

// network remembers the address that each agent polled from last, to find out
// which agents and clients share a network. It has one address for each agent that
// has ever been listed.
type network struct {
	mu     *sync.RWMutex
	agents map[string]netip.Addr // by fingerprint
}

func newNetwork() network { return network{new(sync.RWMutex), map[string]netip.Addr{}} }

func (n *network) sawAgent(fingerprint string, at netip.Addr) {
	n.mu.RLock()
	same := n.agents[fingerprint] == at
	n.mu.RUnlock()
	if same {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.agents[fingerprint] = at
}

// beside reports whether the agent was last seen in the network of the address.
func (n *network) beside(fingerprint string, at netip.Addr) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return sameNetwork(n.agents[fingerprint], at)
}

// sameNetwork reports whether two peers that were seen with these addresses may
// reach each other by addresses that mean nothing elsewhere: they are behind one
// NAT, or in one IPv6 network, or in the broker's own network, as it knows one of
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
