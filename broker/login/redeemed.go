package login

import (
	"sync"
	"time"
)

// maxRedeemed bounds the memory of redeemed challenges: two thousand logins a
// second during the life of a challenge. Only holders of listed keys add to it.
const maxRedeemed = 1 << 16

// redeemed remembers each redeemed challenge until the challenge expires, so
// that it counts once. It never forgets one early: a full memory refuses new
// challenges instead. It is safe for concurrent use.
type redeemed struct {
	mu   sync.Mutex
	most int
	n    int
	// bySecond has the random parts of the challenges that expire in a second.
	bySecond map[int64]map[[randomSize]byte]struct{}
}

// redemption is the result of redeeming a challenge.
type redemption int

const (
	redeemedNow redemption = iota
	redeemedBefore
	memoryFull
)

func newRedeemed(most int) *redeemed {
	return &redeemed{most: most, bySecond: map[int64]map[[randomSize]byte]struct{}{}}
}

// redeem takes a challenge that CheckChallenge has accepted.
func (r *redeemed) redeem(challenge []byte, now time.Time) redemption {
	expires := expiry(challenge).Unix()
	random := [randomSize]byte(challenge[expirySize:])
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.bySecond[expires][random]; ok {
		return redeemedBefore
	}
	for second, challenges := range r.bySecond { // at most one entry per second of a challenge's life
		if second <= now.Unix() {
			r.n -= len(challenges)
			delete(r.bySecond, second)
		}
	}
	if r.n >= r.most {
		return memoryFull
	}
	if r.bySecond[expires] == nil {
		r.bySecond[expires] = map[[randomSize]byte]struct{}{}
	}
	r.bySecond[expires][random] = struct{}{}
	r.n++
	return redeemedNow
}
