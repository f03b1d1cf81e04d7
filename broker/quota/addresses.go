package quota

import (
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"github.com/farforge/farforge/broker/internal/tables"
)

// Addresses limits requests by the network of their sender. It is safe for
// concurrent use.
type Addresses struct {
	perSecond rate.Limit
	burst     int
	// buckets has those of the networks that were used last. Any other network has
	// a full bucket.
	buckets *tables.Recent[netip.Prefix, *rate.Limiter]
}

// NewAddresses allows each network perSecond requests a second, and burst at once.
// It remembers at least size networks, and at most twice as many.
func NewAddresses(perSecond float64, burst, size int) *Addresses {
	return &Addresses{rate.Limit(perSecond), burst, tables.NewRecent[netip.Prefix, *rate.Limiter](size)}
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
	return take(a.buckets.Use(Network(addr), func() *rate.Limiter { return rate.NewLimiter(a.perSecond, a.burst) }), now)
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
