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

// class holds the agents that can and may build the same, behind the same kind of
// NAT, in the order of their speed. As an index it makes a choice among
// 100 000 agents as cheap as one among hundreds.
//
//	shelf 0     the fastest agents, by an optimistic estimate
//	  bench 0   64 seats, each with its agent, whether it is open, and the agent's room
//	  bench 1
//	shelf 1     10 % slower than shelf 0, and so on
//
// The optimistic estimate of a speed is one deviation above the mean, so that
// unknown agents are scored early. A seat is open while its agent could start some
// job. Opening and closing a seat is an atomic write under the agent's own lock;
// only a change of seats takes the lock of the class.
//
// A seat may be a moment behind its agent, so a choice reads the agent's facts, too.
type class struct {
	like    *facts // of any member: what all of them have in common
	shelves [shelves]shelf
	// open and taken are numbers of seats.
	open, taken atomic.Int64

	mu      sync.Mutex // guards members, over, and the change of seats
	members int
	over    bool // the last member has left; the class takes no new ones
}

// The number of shelves of a class, and the difference between the logarithms of
// their speeds.
const (
	shelves    = 64
	shelfWidth = 0.1
)

type shelf struct {
	benches atomic.Pointer[[]*bench] // grows by replacement
	used    atomic.Int64             // seats that have ever been taken
	open    atomic.Int64
	vacant  []int // seats below used that are not taken; guarded by class.mu
}

// seats is the number of seats of a bench: one for each bit of a word.
const seats = 64

type bench struct {
	open  atomic.Uint64 // bit i: seat i is open
	room  [seats]atomic.Uint64
	taken [seats]atomic.Pointer[member]
}

// seat is the place of an agent in the index; the zero value is none.
type seat struct {
	class *class
	shelf int
	bench *bench
	index int // on its shelf
}

// alike reports whether two agents belong to the same class.
func alike(a, b *facts) bool {
	return a.nat == b.nat && (a.Sealing == nil) == (b.Sealing == nil) &&
		(a.Status == b.Status || slices.Equal(a.Status.Capabilities, b.Status.Capabilities) &&
			slices.EqualFunc(a.Status.Recipes, b.Status.Recipes, sameRecipe) && (a.Status.Recipes == nil) == (b.Status.Recipes == nil)) &&
		slices.Equal(a.Targets, b.Targets) && slices.Equal(a.Tags, b.Tags)
}

func sameRecipe(a, b api.Recipe) bool {
	return a.Name == b.Name && a.Kind == b.Kind && slices.Equal(a.Targets, b.Targets) && slices.Equal(a.Toolchains, b.Toolchains)
}

// join makes the agent a member of its class, which it returns.
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
		f.strike(c) // the goroutine that ended it may not have done so yet
	}
}

// quit ends a membership. The last one ends the class.
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

// strike removes the class from the list.
func (f *Farm) strike(c *class) {
	for {
		list := f.classes.Load()
		next := slices.DeleteFunc(slices.Clone(*list), func(d *class) bool { return c == d })
		if f.classes.CompareAndSwap(list, &next) {
			return
		}
	}
}

// reseat moves the agent to the seat that fits its facts and skill. It takes the new
// seat before it leaves the old one, so that every choice finds the agent at least
// once. The caller holds m.mu.
func (m *member) reseat(now int64) {
	a, old := m.facts.Load(), m.seat
	if a == nil {
		m.seat = seat{}
		old.leave()
		return
	}
	s := m.skill.Load()
	e := speedPrior.at(s.speed, now)
	optimistic := e.mean - math.Sqrt(e.variance)
	at := min(max(int((optimistic+shelves*shelfWidth/2)/shelfWidth), 0), shelves-1)
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

// fastest returns the lower bound of the factors that agents of the shelf have in a
// build's time; the first shelf has none.
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
			next := append(*list, &bench{}) // readers stop at the length of the list that they have loaded
			s.benches.Store(&next)
		}
		s.used.Add(1)
	}
	b := (*s.benches.Load())[index/seats]
	b.taken[index%seats].Store(m)
	c.taken.Add(1)
	return seat{c, at, b, index}
}

// leave frees the seat.
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

// set records how much room the agent has for jobs. The seat is open if a core is
// free. The caller holds the mutex of the member that sits there.
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

// pack encodes a capacity in one word, so that it is read atomically.
func pack(c capacity.Capacity) uint64 {
	return uint64(min(max(c.Cores, 0), math.MaxUint32))<<32 | uint64(min(max(c.MemoryMB, 0), math.MaxUint32))
}

func unpack(w uint64) capacity.Capacity {
	return capacity.Capacity{Cores: int(w >> 32), MemoryMB: int(w & math.MaxUint32)}
}

// seatsFrom returns step i of a walk over all seats of the shelf, which begins at
// the given seat and wraps around: a bench, and the bits of the seats to visit
// there. The bench is nil at the end.
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

// meets returns the stage that the agents of the class reach for the need.
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
