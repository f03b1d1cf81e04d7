package scheduler

import (
	"math"
	"math/bits"
	"slices"

	"github.com/farforge/farforge/common/nat"
)

// sort finds the classes whose agents meet the need.
func (c *choice) sort(all []*class) {
	c.near, c.far = c.near[:0], c.far[:0]
	for _, k := range all {
		switch {
		case k.meets(c.w.need) != able:
		case nat.CanMeet(c.w.need.NAT, k.like.nat):
			c.near = append(c.near, k)
		default:
			c.far = append(c.far, k)
		}
	}
}

// idle returns the share of agents that have room for the job, among those that can
// connect directly or, if there is none, among those that need a relay. found is
// the number of agents with room that were found. If it is as many as a choice
// scores, there may be more: then the open seats count.
func (c *choice) idle(found int) float64 {
	classes, open, all := c.near, int64(0), int64(0)
	if len(c.near) == 0 {
		classes, found = c.far, scoreOpen
	}
	for _, k := range classes {
		open += k.open.Load()
		all += k.taken.Load()
	}
	if found < scoreOpen {
		open = int64(found)
	}
	return float64(open) / float64(max(all, 1))
}

// free finds agents that have room for the job, the fastest shelves first. It finds
// every such agent, however many others there are: to compare the room of a seat
// takes a nanosecond.
func (c *choice) free(classes []*class) {
	c.found = c.found[:0]
	for at := range shelves {
		for _, k := range classes {
			if s := &k.shelves[at]; s.open.Load() > 0 {
				c.walk(k, s, true, scoreOpen-len(c.found))
			}
		}
	}
}

// full scores agents for which the job would have to wait: some of each shelf, the
// fastest shelves first. It visits at most the given number of agents, and ends at
// the first shelf that is so slow that even without any wait none of its agents
// would enter the list.
func (c *choice) full(classes []*class, looks int) {
	left, warmest := scoreFull, math.Exp(min(c.w.warm, 0))
	c.looks = looks
	for at := range shelves {
		if n := len(c.best); n > 0 && n == c.o.Max && c.w.seconds*warmest*fastest(at) > c.best[n-1].Expected {
			return
		}
		for _, k := range classes {
			if s := &k.shelves[at]; s.used.Load() > 0 {
				c.found = c.found[:0]
				c.walk(k, s, false, min(ofEach, left))
				c.score(c.found)
				left -= len(c.found)
			}
		}
	}
}

// walk finds at most n agents of one shelf, beginning at a random seat: those that
// have room for the job, or the others.
func (c *choice) walk(k *class, s *shelf, free bool, n int) {
	if n <= 0 || c.looks <= 0 && !free {
		return
	}
	from := c.rnd.IntN(int(s.used.Load()))
	for i := 0; ; i++ {
		b, word := s.seatsFrom(from, i)
		if b == nil {
			return
		}
		if free {
			word &= b.open.Load()
		}
		for ; word != 0; word &= word - 1 {
			at := bits.TrailingZeros64(word)
			if room := unpack(b.room[at].Load()); (room.Cores > 0 && room.Fits(c.need.Capacity)) != free {
				continue
			}
			m := b.taken[at].Load()
			if m == nil {
				continue
			}
			if a := c.able(m, k); a != nil {
				c.found = append(c.found, hit{m: m, a: a})
				n--
			}
			if !free {
				c.looks--
			}
			if n == 0 || c.looks == 0 && !free {
				return
			}
		}
	}
}

// able returns the facts of an agent that can do the job, or else nil. k is the class
// in which the agent was found, and which meets the need; nil if it was not found
// in the index.
func (c *choice) able(m *member, k *class) *facts {
	a := m.facts.Load()
	switch {
	case a == nil:
		return nil
	case a.class != k || len(c.need.Exclude) > 0:
		if step(a.Agent, &c.need, &c.o) != able {
			return nil
		}
	case a.away || !a.parked && a.seen < c.since || !a.total.Fits(c.need.Capacity):
		return nil // the steps that the class does not decide
	}
	return a
}

// consider scores an agent outside of the index, if it can do the job.
func (c *choice) consider(m *member) {
	if m == nil {
		return
	}
	if a := c.able(m, nil); a != nil {
		c.score([]hit{{m: m, a: a}})
		c.early = append(c.early, m)
	}
}

// score rates the agents that were not rated before, and keeps the best.
func (c *choice) score(found []hit) {
	for _, h := range found {
		if slices.Contains(c.early, h.m) {
			continue
		}
		h.Score = c.w.score(h.m, h.a, c.rnd)
		if h.Relay = !nat.CanMeet(c.need.NAT, h.a.nat); h.Relay {
			c.relay = insert(c.relay, h, c.o.Max)
		} else {
			c.best = insert(c.best, h, c.o.Max)
		}
	}
}
