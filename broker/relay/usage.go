package relay

import (
	"errors"
	"net/netip"
	"sync"

	"golang.org/x/time/rate"
)

// usage counts the open allocations by job, by the job's owner and by the
// network of the peer. It is safe for concurrent use.
type usage struct {
	// perJob and perParty are bounds; perParty holds for an owner and for a
	// network.
	perJob, perParty int
	bytes            rate.Limit // of a job, a second

	mu       sync.Mutex
	jobs     map[string]*job
	owners   map[string]int
	networks map[netip.Prefix]int
}

// job is what all allocations of one job share. It lasts as long as they do.
type job struct {
	allocations int
	up, down    *rate.Limiter // bytes
}

func newUsage(perJob, perParty int, bytes rate.Limit) *usage {
	return &usage{
		perJob: perJob, perParty: perParty, bytes: bytes,
		jobs: map[string]*job{}, owners: map[string]int{}, networks: map[netip.Prefix]int{},
	}
}

var errQuota = errors.New("the job, its user or the peer's network has all the allocations that it may have")

// full reports whether the party has reached a bound.
func (u *usage) full(p party) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.isFull(p)
}

func (u *usage) isFull(p party) bool {
	j := u.jobs[p.job]
	return j != nil && j.allocations >= u.perJob || u.owners[p.owner] >= u.perParty || u.networks[p.network()] >= u.perParty
}

// take counts one more allocation of the party, or returns errQuota.
func (u *usage) take(p party) (*job, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.isFull(p) {
		return nil, errQuota
	}
	j := u.jobs[p.job]
	if j == nil {
		j = &job{up: newLimiter(u.bytes), down: newLimiter(u.bytes)}
		u.jobs[p.job] = j
	}
	j.allocations++
	u.owners[p.owner]++
	u.networks[p.network()]++
	return j, nil
}

// give counts one allocation less.
func (u *usage) give(p party) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if j := u.jobs[p.job]; j.allocations > 1 {
		j.allocations--
	} else {
		delete(u.jobs, p.job)
	}
	decrement(u.owners, p.owner)
	decrement(u.networks, p.network())
}

func decrement[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] == 0 {
		delete(counts, key)
	}
}

// newLimiter allows a burst of a quarter of a second, and always a whole packet.
func newLimiter(bytes rate.Limit) *rate.Limiter {
	return rate.NewLimiter(bytes, max(int(bytes)/4, 64<<10))
}
