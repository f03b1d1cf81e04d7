package scheduler

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
)

// class is the agents that can and may build the same behind the same kind of NAT,
// in order of their speed: the index that keeps a choice among 100 000 as cheap as
// one among hundreds.
//
//	shelf 0     fastest, as far as hopes go
//	  bench 0   64 seats: who sits there, whether it is open, and how much room it has
//	  bench 1
//	shelf 1     each is 10 % slower than the last
//
// An agent sits where it would be if it were one deviation faster than believed,
// so that the unknown are looked at early. A seat is open while its agent could
// start some job. To open and to shut it is an atomic write, which needs no lock
// but the agent's own; only to change seats takes the lock of the class.
//
// What a seat says is a hint that may be a moment old. A choice reads the agent's
// facts before it counts on it.
type class struct {
	like    *facts // any of them, as far as that goes
	shelves [shelves]shelf
	// open and taken count seats.
	open, taken atomic.Int64

	mu      sync.Mutex // guards the members and who sits where
	members int
	over    bool // the last member has left; nobody joins any more
}

// The shelves of a class, and by how much the logarithm of their speeds differs.
const (
	shelves    = 64
	shelfWidth = 0.1
)

type shelf struct {
	benches atomic.Pointer[[]*bench] // grows by replacement
	used    atomic.Int64             // seats that were ever taken
	open    atomic.Int64
	vacant  []int // seats below used that are not taken; guarded by class.mu
}

// seats is how many a bench has: as many as a word has bits.
const seats = 64

type bench struct {
	open  atomic.Uint64 // bit i: seat i is open
	room  [seats]atomic.Uint64
	taken [seats]atomic.Pointer[member]
}

// seat is where an agent sits; the zero value is nowhere.
type seat struct {
	class *class
	shelf int
	bench *bench
	index int // on its shelf
}

// alike tells whether two agents are of one class.
func alike(a, b *facts) bool {
	return a.nat == b.nat && (a.Sealing == nil) == (b.Sealing == nil) &&
		(a.Status == b.Status || slices.Equal(a.Status.Capabilities, b.Status.Capabilities) &&
			slices.EqualFunc(a.Status.Recipes, b.Status.Recipes, sameRecipe) && (a.Status.Recipes == nil) == (b.Status.Recipes == nil)) &&
		slices.Equal(a.Targets, b.Targets) && slices.Equal(a.Tags, b.Tags)
}

func sameRecipe(a, b api.Recipe) bool {
	return a.Name == b.Name && a.Kind == b.Kind && slices.Equal(a.Targets, b.Targets) && slices.Equal(a.Toolchains, b.Toolchains)
}

// join returns the class of the agent, which counts it as a member from now on.
func (f *Farm) join(a *facts) *class {
	for {
		list := f.classes.Load()
		i := slices.IndexFunc(*list, func(c *class) bool { return alike(c.like, a) })
		if i < 0 {
			c := &class{like: a, members: 1}
			if next := append(slices.Clip(*list), c); f.classes.CompareAndSwap(list, &next) {
				return c
			}
			continue
		}
		c := (*list)[i]
		c.mu.Lock()
		joined := !c.over
		if joined {
			c.members++
		}
		c.mu.Unlock()
		if joined {
			return c
		}
		f.strike(c) // whoever ended it may not have come to that
	}
}

// quit ends one membership. The last one ends the class.
func (f *Farm) quit(c *class) {
	c.mu.Lock()
	c.members--
	c.over = c.members == 0
	over := c.over
	c.mu.Unlock()
	if over {
		f.strike(c)
	}
}

// strike takes the class off the list.
func (f *Farm) strike(c *class) {
	for {
		list := f.classes.Load()
		next := slices.DeleteFunc(slices.Clone(*list), func(d *class) bool { return c == d })
		if f.classes.CompareAndSwap(list, &next) {
			return
		}
	}
}

// reseat puts the agent where it belongs by now. It takes the new seat before it
// leaves the old one, so that every choice finds the agent at least once. The
// caller holds m.mu.
func (m *member) reseat(now int64) {
	a, old := m.facts.Load(), m.seat
	if a == nil {
		m.seat = seat{}
		old.leave()
		return
	}
	s := m.skill.Load()
	e := speedPrior.at(s.speed, now)
	hope := e.mean - math.Sqrt(e.variance)
	at := min(max(int((hope+shelves*shelfWidth/2)/shelfWidth), 0), shelves-1)
	if old.class != a.class || old.shelf != at {
		m.seat = a.class.sit(m, at)
	}
	var free capacity.Capacity
	if a.Parked && !m.resting(a, now) {
		free = a.Free
	}
	m.seat.set(free)
	if m.seat != old {
		old.leave()
	}
}

// fastest is the least factor in a build's time that an agent of the shelf is
// believed to have. That of the first shelf is unknown.
func fastest(at int) float64 {
	if at == 0 {
		return 0
	}
	return math.Exp((float64(at) - shelves/2) * shelfWidth)
}

// sit takes a seat on a shelf.
func (c *class) sit(m *member, at int) seat {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.shelves[at]
	if s.benches.Load() == nil {
		s.benches.Store(&[]*bench{})
	}
	index := int(s.used.Load())
	if last := len(s.vacant) - 1; last >= 0 {
		index, s.vacant = s.vacant[last], s.vacant[:last]
	} else {
		if list := s.benches.Load(); index == len(*list)*seats {
			next := append(*list, &bench{}) // nobody reads behind the end of the list it has loaded
			s.benches.Store(&next)
		}
		s.used.Add(1)
	}
	b := (*s.benches.Load())[index/seats]
	b.taken[index%seats].Store(m)
	c.taken.Add(1)
	return seat{c, at, b, index}
}

// leave gives the seat up.
func (s *seat) leave() {
	if s.class == nil {
		return
	}
	s.set(capacity.Capacity{})
	s.class.mu.Lock()
	defer s.class.mu.Unlock()
	s.bench.taken[s.index%seats].Store(nil)
	sh := &s.class.shelves[s.shelf]
	sh.vacant = append(sh.vacant, s.index)
	s.class.taken.Add(-1)
}

// set says how much room the agent on the seat has for jobs. The seat is open if
// there is a core left. Only the owner of the seat calls it.
func (s *seat) set(free capacity.Capacity) {
	i := s.index % seats
	bit := uint64(1) << i
	s.bench.room[i].Store(pack(free))
	sh := &s.class.shelves[s.shelf]
	if free.Cores > 0 {
		if s.bench.open.Or(bit)&bit == 0 {
			sh.open.Add(1)
			s.class.open.Add(1)
		}
	} else if s.bench.open.And(^bit)&bit != 0 {
		sh.open.Add(-1)
		s.class.open.Add(-1)
	}
}

// pack puts a capacity into one word, so that it is read whole.
func pack(c capacity.Capacity) uint64 {
	return uint64(min(max(c.Cores, 0), math.MaxUint32))<<32 | uint64(min(max(c.MemoryMB, 0), math.MaxUint32))
}

func unpack(w uint64) capacity.Capacity {
	return capacity.Capacity{Cores: int(w >> 32), MemoryMB: int(w & math.MaxUint32)}
}

// seatsFrom yields the seats of the shelf, a bench at a time, from a given seat on
// and around: bench i, and the bits of its seats that are meant. It is over when
// the bench is nil.
func (s *shelf) seatsFrom(from, i int) (b *bench, word uint64) {
	list := s.benches.Load()
	if list == nil || i > len(*list) {
		return nil, 0
	}
	b, word = (*list)[(from/seats+i)%len(*list)], ^uint64(0)
	switch below := uint64(1)<<(from%seats) - 1; i {
	case 0:
		word = ^below
	case len(*list): // the first one again
		word = below
	}
	return b, word
}

// meets tells how far the agents of the class come in meeting the need.
func (c *class) meets(n *Need) stage {
	if reached := meets(c.like.Agent, n); reached != able {
		return reached
	}
	if n.Sealed && c.like.Sealing == nil {
		return cannotOpen
	}
	if n.Target == "" && len(c.like.Targets) > 0 {
		return wrongTarget // see present
	}
	return able
}

var _ directory.Observer = (*Farm)(nil)
