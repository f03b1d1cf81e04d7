package scheduler

import (
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
// ones. How long the line of a full one is, it does not know: some of each
// speed are looked at, so that the lines of the fastest do not grow while those
// of others are short.
const (
	scoreRoomy = 64
	scoreFull  = 128
	ofEach     = 6
	// lookAt bounds the agents that are passed over because they lack what the
	// index does not know, such as memory.
	lookAt = 512
)

// closeTo is how much worse than the best, as a share of the best one's build
// time, a candidate may be if the job has to wait. It waits for all of them and
// goes to the first that is free, so that one which is much slower would take
// it away from a better one that is about to be free. With too few of them it is
// at the mercy of their estimates; from 0.1 to 0.3 it does not matter much.
const closeTo = 0.2

// scratch is what a choice needs besides its result, kept between choices.
type scratch struct {
	rnd  *rand.Rand
	pcg  rand.PCG
	mark uint64
	best []hit // that the client can meet, best first
	far  []hit // that it reaches through a relay only
}

type hit struct {
	a *member
	api.Score
}

// Choose returns the best agents for the need, best first, at most o.Max; none
// if no agent meets it. The same farm and o.Seed give the same choice.
func (f *Farm) Choose(n Need, o Options) []Ranked {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &f.scratch
	if s.rnd == nil {
		s.rnd = rand.New(&s.pcg)
	}
	s.pcg.Seed(o.Seed, 0)
	s.mark++
	s.best, s.far = s.best[:0], s.far[:0]
	w := f.want(&n, o.Now.UnixNano())
	w.boldness = f.idle(&n)
	if len(n.Agents) > 0 {
		for _, id := range n.Agents {
			f.consider(f.byID[id], &w, &o)
			f.consider(f.byName[id], &w, &o)
		}
		return s.list(o.Max)
	}
	if p := f.projects[w.proj]; p != nil && w.proj != 0 {
		for _, a := range p.on {
			f.consider(a, &w, &o)
		}
	}
	for _, c := range f.classes {
		if c.meets(&n, s.mark) == able {
			f.walk(c, roomy, scoreRoomy, scoreRoomy, &w, &o)
			f.walk(c, full, scoreFull, ofEach, &w, &o)
		}
	}
	if len(s.best)+len(s.far) == 0 { // who could, if anybody, is where the index did not lead
		for _, a := range f.agents {
			f.consider(a, &w, &o)
		}
	}
	return s.list(o.Max)
}

// idle is the share of the agents that meet the need that have room.
func (f *Farm) idle(n *Need) float64 {
	room, all := 0, 0
	for _, c := range f.classes {
		if c.meets(n, f.scratch.mark) == able {
			room += c.count[roomy]
			all += c.count[roomy] + c.count[full]
		}
	}
	return float64(room) / float64(max(all, 1))
}

// walk scores up to most agents of one side, the fastest buckets first, and up
// to each of a bucket, from a random place on.
func (f *Farm) walk(c *class, side, most, each int, w *wanted, o *Options) {
	looked := 0
	for b := range c.buckets {
		list := c.buckets[b][side]
		if len(list) == 0 {
			continue
		}
		start, left := f.scratch.rnd.IntN(len(list)), each
		for i := 0; i < len(list) && left > 0; i++ {
			if looked++; most == 0 || looked > lookAt {
				return
			}
			if f.consider(list[(start+i)%len(list)], w, o) {
				most--
				left--
			}
		}
	}
}

// consider scores an agent, once in a choice, and tells whether it is one that
// could do the job and that the client can meet.
func (f *Farm) consider(a *member, w *wanted, o *Options) bool {
	s := &f.scratch
	if a == nil || a.mark == s.mark || a.class == nil {
		return false
	}
	a.mark = s.mark
	if present(&a.view, w.need, o) != able || a.class.meets(w.need, s.mark) != able || fits(&a.view, w.need) != able {
		return false
	}
	h := hit{a, w.score(a, s.rnd)}
	if !nat.CanMeet(w.need.NAT, a.nat) {
		h.Relay = true
		s.far = insert(s.far, h, o.Max)
		return false
	}
	s.best = insert(s.best, h, o.Max)
	return true
}

// insert keeps the list in order and at most most long.
func insert(list []hit, h hit, most int) []hit {
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

// join puts those that need a relay behind the others if one of the others is
// free. If none is, a relay now may be better than a wait, and the order is that
// of all.
func (s *scratch) join(most int) {
	direct := slices.ContainsFunc(s.best, func(h hit) bool { return h.Wait == 0 && h.a.place.side == roomy })
	for _, h := range s.far {
		if !direct {
			s.best = insert(s.best, h, most)
		} else if len(s.best) < most {
			s.best = append(s.best, h)
		}
	}
}

// list makes the result. If the best is free, it gets the job, and the others
// are there in case that it does not answer; else only those close to it.
func (s *scratch) list(most int) []Ranked {
	s.join(most)
	n := len(s.best)
	if n > 0 && s.best[0].Wait > 0 {
		worst := s.best[0].Expected + closeTo*s.best[0].Duration
		for s.best[n-1].Expected > worst {
			n--
		}
	}
	if n == 0 {
		return nil
	}
	out := make([]Ranked, n)
	for i := range out {
		v := &s.best[i].a.view
		out[i] = Ranked{api.Candidate{Fingerprint: v.Fingerprint, Name: v.Name, PublicKey: v.PublicKey, Sealing: v.Sealing}, s.best[i].Score}
	}
	return out
}
