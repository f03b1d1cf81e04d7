package scheduler

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/nat"
)

// Ranked is a candidate and why it is where it is.
type Ranked struct {
	api.Candidate
	api.Score
}

// How many agents of each sort are scored for one choice. Of those that have
// room, the index yields the fastest first, so that more would only add slower
// ones. It does not know how long the line of a full one is: some of each speed
// are looked at, so that the lines of the fastest do not grow while those of
// others are short.
const (
	scoreOpen = 64
	scoreFull = 128
	ofEach    = 6
	// lookAt bounds the full agents that are passed over because they lack what
	// the index does not know, such as a sign of life.
	lookAt = 512
)

// closeTo is how much worse than the best, as a share of the best one's build
// time, a candidate may be if the job has to wait. It waits for all of them and
// goes to the first that is free, so that one which is much slower would take
// it away from a better one that is about to be free. With too few of them it is
// at the mercy of their estimates; from 0.1 to 0.3 it does not matter much.
const closeTo = 0.2

// choice is the work of one choice. Its buffers are used again.
type choice struct {
	rnd    *rand.Rand
	pcg    rand.PCG
	o      *Options
	w      wanted
	near   []*class  // whose agents meet the need, and can meet the client
	far    []*class  // those that the client reaches through a relay only
	early  []*member // that were looked at before the index was
	looked int       // agents of the last shelf that were looked at
	best   []hit     // that the client can meet, best first
	relay  []hit     // that it reaches through a relay only
}

type hit struct {
	m *member
	a *facts
	api.Score
}

func newChoice() *choice {
	c := &choice{}
	c.rnd = rand.New(&c.pcg)
	return c
}

// Choose returns the best agents for the need, best first, at most o.Max; none
// if no agent meets it. The same farm and o.Seed give the same choice.
func (f *Farm) Choose(n Need, o Options) []Ranked {
	c := f.choices.Get().(*choice)
	defer f.choices.Put(c)
	c.pcg.Seed(o.Seed, 0)
	c.o = &o
	c.early, c.best, c.relay = c.early[:0], c.best[:0], c.relay[:0]
	c.w = f.want(&n, o.Now.UnixNano())
	c.sort(*f.classes.Load())
	c.w.boldness = c.idle()
	if len(n.Agents) > 0 {
		for _, id := range n.Agents {
			c.consider(f.member(id), nil)
			named, _ := f.names.Get(id)
			c.consider(named, nil)
		}
		return c.list()
	}
	if p := f.project(c.w.proj); p != nil {
		for _, m := range p.on {
			c.consider(m, nil)
			c.early = append(c.early, m)
		}
	}
	c.free(c.near)
	c.full(c.near, lookAt)
	if len(c.best) < o.Max || !c.hasFree() {
		c.free(c.far)
		c.full(c.far, lookAt)
	}
	if len(c.best)+len(c.relay) == 0 { // who could, if anybody, is behind many that could not
		c.sort(*f.classes.Load())
		c.full(c.near, math.MaxInt)
		c.full(c.far, math.MaxInt)
	}
	return c.list()
}

// sort picks the classes whose agents meet the need.
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

// idle is the share of the agents that meet the need that have room.
func (c *choice) idle() float64 {
	var open, all int64
	for _, list := range [][]*class{c.near, c.far} {
		for _, k := range list {
			open += k.open.Load()
			all += k.taken.Load()
		}
	}
	return float64(open) / float64(max(all, 1))
}

// free scores agents that have room for the job, the fastest shelves first. It
// passes over no agent with room, however many others there are: to compare the
// room of a seat costs a nanosecond.
func (c *choice) free(classes []*class) {
	most := scoreOpen
	for at := range shelves {
		for i := range classes {
			if s := &classes[i].shelves[at]; s.open.Load() > 0 && most > 0 {
				c.walk(classes[i], at, true, &most, most)
			}
		}
	}
}

// full scores some agents of each shelf for which the job would have to wait, the
// fastest shelves first, and looks at no more agents than it may.
func (c *choice) full(classes []*class, mayLook int) {
	most := scoreFull
	for at := range shelves {
		for i := range classes {
			if s := &classes[i].shelves[at]; s.used.Load() > 0 && most > 0 {
				c.walk(classes[i], at, false, &most, ofEach)
				if mayLook -= c.looked; mayLook <= 0 {
					return
				}
			}
		}
	}
}

// walk scores agents of one shelf, from a random seat on: those that have room for
// the job, or the others. It scores at most each, and takes them off most.
func (c *choice) walk(class *class, at int, free bool, most *int, each int) {
	s := &class.shelves[at]
	c.looked = 0
	need := c.w.need.Capacity
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
			k := bits.TrailingZeros64(word)
			if room := unpack(b.room[k].Load()); (room.Cores > 0 && room.Fits(need)) != free {
				continue
			}
			m := b.taken[k].Load()
			if m == nil || slices.Contains(c.early, m) {
				continue
			}
			if c.looked++; !c.consider(m, class) {
				if !free && c.looked > lookAt {
					return
				}
				continue
			}
			*most--
			if each--; each == 0 || *most == 0 {
				return
			}
		}
	}
}

// consider scores an agent if it could do the job, and tells whether it could.
// class is one that meets the need, if the agent was found there; else nil.
func (c *choice) consider(m *member, class *class) bool {
	if m == nil {
		return false
	}
	a := m.facts.Load()
	switch {
	case a == nil:
		return false
	case a.class != class && meets(a.Agent, c.w.need) != able:
		return false
	case present(a.Agent, c.w.need, c.o) != able || fits(a.Agent, c.w.need) != able:
		return false
	}
	h := hit{m, a, c.w.score(m, a, c.rnd)}
	if nat.CanMeet(c.w.need.NAT, a.nat) {
		c.best = insert(c.best, h, c.o.Max)
		return true
	}
	h.Relay = true
	c.relay = insert(c.relay, h, c.o.Max)
	return true
}

// insert keeps the list in order and at most most long, each agent once.
func insert(list []hit, h hit, most int) []hit {
	for i := range list {
		if list[i].m == h.m {
			return list
		}
	}
	i := len(list)
	if i < most {
		list = append(list, hit{})
	} else if i == 0 || list[i-1].Expected <= h.Expected {
		return list
	} else {
		i--
	}
	for i > 0 && list[i-1].Expected > h.Expected {
		list[i] = list[i-1]
		i--
	}
	list[i] = h
	return list
}

// hasFree tells whether one of the best could start the job at once.
func (c *choice) hasFree() bool {
	return slices.ContainsFunc(c.best, func(h hit) bool { return h.Wait == 0 && !h.Resting })
}

// join puts those that need a relay behind the others if one of the others is
// free. If none is, a relay now may be better than a wait, and the order is that
// of all.
func (c *choice) join() {
	direct := c.hasFree()
	for _, h := range c.relay {
		if !direct {
			c.best = insert(c.best, h, c.o.Max)
		} else if len(c.best) < c.o.Max {
			c.best = append(c.best, h)
		}
	}
}

// list makes the result. If the best is free, it gets the job, and the others
// are there in case that it does not answer; else only those close to it.
func (c *choice) list() []Ranked {
	c.join()
	n := len(c.best)
	if n > 0 && c.best[0].Wait > 0 {
		worst := c.best[0].Expected + closeTo*c.best[0].Duration
		for c.best[n-1].Expected > worst {
			n--
		}
	}
	var out []Ranked
	if n > 0 {
		out = make([]Ranked, n)
	}
	for i := range out {
		a := c.best[i].a
		out[i] = Ranked{api.Candidate{Fingerprint: a.Fingerprint, Name: a.Name, PublicKey: a.PublicKey, Sealing: a.Sealing}, c.best[i].Score}
	}
	// The buffers outlive the choice; what they point to need not.
	clear(c.early)
	clear(c.best)
	clear(c.relay)
	clear(c.near)
	clear(c.far)
	c.w, c.o = wanted{}, nil
	return out
}
