package scheduler

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/farforge/farforge/common/api"
)

// Ranked is a candidate with its score.
type Ranked struct {
	api.Candidate
	api.Score
}

// How many agents are scored for one choice. The index yields agents with room in
// the order of their speed, so that more of them would only add slower ones. It
// does not know the lines of full agents: some of each speed are scored, so that
// the lines of the fastest do not grow while others are short.
const (
	scoreOpen = 64
	scoreFull = 128
	ofEach    = 6
	// lookAt bounds the full agents that a choice visits, as the index does not
	// know which of them are still alive.
	lookAt = 512
)

// closeTo bounds how much worse than the best a candidate of a waiting job may be,
// as a share of the best one's build time. The job goes to the first candidate
// that becomes free: a much slower one would take it from a better one that is
// about to be free. With few candidates the job depends on the estimates of those
// few. Values from 0.1 to 0.3 make little difference.
const closeTo = 0.2

// choice is the state of one choice. Its buffers are reused.
type choice struct {
	rnd   *rand.Rand
	pcg   rand.PCG
	need  Need
	o     Options
	since int64 // when an unparked agent must have been seen last, in Unix nanoseconds
	w     wanted
	near  []*class  // classes whose agents meet the need and can connect to the client directly
	far   []*class  // classes that meet the need and need a relay
	early []*member // scored before the agents of the index
	found []hit     // to be scored
	looks int       // full agents that may still be visited
	best  []hit     // direct ones, best first
	relay []hit     // those that need a relay, best first
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
	c.w.exploration = c.idle(len(c.found))
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
	if len(c.best)+len(c.relay) == 0 { // an able one may be behind many that are not: visit all
		c.sort(*f.classes.Load())
		c.full(c.near, math.MaxInt)
		c.full(c.far, math.MaxInt)
	}
	return c.list()
}

// insert adds an agent to a sorted list of at most most agents, each once.
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

// hasFree reports whether one of the best could start the job at once.
func (c *choice) hasFree() bool {
	return slices.ContainsFunc(c.best, func(h hit) bool { return h.Wait == 0 && !h.Resting })
}

// join adds the agents that need a relay: behind the others if one of the others is
// free, else in the order of all scores, as a relay now may be better than a wait.
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

// list returns the result. If the best agent is free, it gets the job, and the
// others are spares in case that it does not answer. Else only those that are
// close to the best stay; see closeTo.
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
	// The buffers outlive the choice: drop their pointers.
	clear(c.early)
	clear(c.found[:cap(c.found)])
	clear(c.best)
	clear(c.relay)
	clear(c.near)
	clear(c.far)
	c.need, c.w = Need{}, wanted{}
	return out
}
