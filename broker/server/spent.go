package server

import (
	"sync"
	"time"
)

// spent remembers challenges that were redeemed until they would have expired
// by themselves, so that each is good once. It never forgets one early: when it
// is full it says so, and who is refused may come back.
type spent struct {
	mu   sync.Mutex
	most int
	n    int
	// by holds what expires in each second.
	by map[int64]map[[randomSize]byte]struct{}
}

// spending is what became of a challenge.
type spending int

const (
	spentNow spending = iota
	spentBefore
	spentFull
)

func newSpent(most int) *spent {
	return &spent{most: most, by: map[int64]map[[randomSize]byte]struct{}{}}
}

// spend takes a challenge that openChallenge has accepted.
func (s *spent) spend(challenge []byte, now time.Time) spending {
	expires := expiryOf(challenge).Unix()
	random := [randomSize]byte(challenge[expirySize:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.by[expires][random]; ok {
		return spentBefore
	}
	for second, of := range s.by { // as many as a challenge has seconds to live
		if second <= now.Unix() {
			s.n -= len(of)
			delete(s.by, second)
		}
	}
	if s.n >= s.most {
		return spentFull
	}
	if s.by[expires] == nil {
		s.by[expires] = map[[randomSize]byte]struct{}{}
	}
	s.by[expires][random] = struct{}{}
	s.n++
	return spentNow
}
