package quota

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Addresses limits requests by the network of their sender. It is safe for
// concurrent use.
type Addresses struct {
	perSecond rate.Limit
	burst     int
	size      int

	mu sync.Mutex
	// now has the buckets that were used since old was full. A network in neither
	// has a full bucket.
	now, old map[netip.Prefix]*rate.Limiter
}

// NewAddresses allows each network perSecond requests a second, and burst at once.
// It remembers at least size networks, and at most twice as many.
func NewAddresses(perSecond float64, burst, size int) *Addresses {
	return &Addresses{perSecond: rate.Limit(perSecond), burst: burst, size: size, now: map[netip.Prefix]*rate.Limiter{}}
}

// Network returns the network of an address: the /24 of an IPv4 address, the /56 of
// an IPv6 address. All requests without an address share one network.
func Network(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 56
	if addr.Is4() {
		bits = 24
	}
	network, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}

// Allow counts a request from the address. If it is one too many, Allow returns how
// long to wait.
func (a *Addresses) Allow(addr netip.Addr, now time.Time) (wait time.Duration, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return take(a.bucket(Network(addr)), now)
}

func (a *Addresses) bucket(network netip.Prefix) *rate.Limiter {
	if b, ok := a.now[network]; ok {
		return b
	}
	b, ok := a.old[network]
	if !ok {
		b = rate.NewLimiter(a.perSecond, a.burst)
	}
	if len(a.now) >= a.size {
		a.now, a.old = map[netip.Prefix]*rate.Limiter{}, a.now
	}
	a.now[network] = b
	return b
}

// take takes one token, or returns the time until there is one.
func take(b *rate.Limiter, now time.Time) (wait time.Duration, ok bool) {
	r := b.ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return wait, false
	}
	return 0, true
}
