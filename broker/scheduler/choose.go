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
	rnd   *rand.Rand
	pcg   rand.PCG
	need  Need
	o     Options
	since int64 // an agent that is not parked was seen then or later, in Unix nanoseconds
	w     wanted
	near  []*class  // whose agents meet the need, and can meet the client
	far   []*class  // those that the client reaches through a relay only
	early []*member // that were scored before those of the index
	found []hit     // that are to be scored
	looks int       // full agents that may still be looked at
	best  []hit     // that the client can meet, best first
	relay []hit     // that it reaches through a relay only
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
	c.need, c.o, c.since = n, o, o.Now.Add(-o.Grace).UnixNano()
	c.early, c.best, c.relay = c.early[:0], c.best[:0], c.relay[:0]
	c.w = f.want(&c.need, o.Now.UnixNano())
	if len(n.Agents) > 0 {
		for _, id := range n.Agents {
			named, _ := f.names.Get(id)
			c.consider(f.member(id))
			c.consider(named)
		}
		return c.list()
	}
	c.sort(*f.classes.Load())
	c.free(c.near)
	c.w.boldness = c.idle(len(c.found))
	if p := c.w.project; p != nil {
		for _, m := range p.on {
			c.consider(m)
		}
	}
	c.score(c.found)
	c.full(c.near, lookAt)
	if len(c.best) < o.Max || !c.hasFree() {
		c.free(c.far)
		c.score(c.found)
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

// idle is the share of the agents that have room for the job, of those that meet
// the need and can meet the client, or else of those that it reaches through a
// relay. found is how many with room were found: all of them, if they are fewer
// than one choice scores; else those count that could start some job.
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

// free finds agents that have room for the job, the fastest shelves first. It
// passes over no agent with room, however many others there are: to compare the
// room of a seat costs a nanosecond.
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

// full scores some agents of each shelf for which the job would have to wait, the
// fastest shelves first, and looks at no more agents than it may. It ends at the
// shelf that is too slow: even without any wait, nobody there would come into a
// list that is full already.
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

// walk finds agents of one shelf, from a random seat on, at most n: those that have
// room for the job, or the others.
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

// able returns what is known of the agent, or nil if it cannot do the job. k is a
// class that meets the need, if the agent was found there; else nil.
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
		return nil // as step would find, but for what the class has answered
	}
	return a
}

// consider scores an agent that was not found in the index, if it can do the job.
func (c *choice) consider(m *member) {
	if m == nil {
		return
	}
	if a := c.able(m, nil); a != nil {
		c.score([]hit{{m: m, a: a}})
		c.early = append(c.early, m)
	}
}

// score rates the agents that were not rated before, and lists the best.
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

// insert keeps the list in order and at most most long, each agent once.
func insert(list []hit, h hit, most int) []hit {
	i := len(list)
	if i == most && (i == 0 || list[i-1].Expected <= h.Expected) {
		return list
	}
	for k := range list {
		if list[k].m == h.m {
			return list
		}
	}
	if i < most {
		list = append(list, hit{})
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
	clear(c.found[:cap(c.found)])
	clear(c.best)
	clear(c.relay)
	clear(c.near)
	clear(c.far)
	c.need, c.w = Need{}, wanted{}
	return out
}
