package scheduler

import (
	"math"
	"slices"

	"github.com/farforge/farforge/broker/directory"
)

// class is the agents that can and may build the same, in order of their speed: the
// index that keeps a choice among 100 000 as cheap as one among hundreds.
//
//	bucket 0          fastest, as far as hopes go
//	   roomy ─ a ─ a  these could start a job now
//	   full  ─ a
//	bucket 1 …        each is 10 % slower than the last
//
// An agent stands where it would be if it were one deviation faster than
// believed, so that the unknown are looked at early.
type class struct {
	like    directory.Agent // any of them, as far as that goes
	buckets [buckets][2][]*member
	count   [2]int
	// reached is how far they come in meeting the need of the choice that mark
	// names. Versions are compared once for all of them.
	reached stage
	mark    uint64
}

// meets tells how far the agents of the class come in meeting the need.
func (c *class) meets(n *Need, mark uint64) stage {
	if c.mark != mark {
		c.reached, c.mark = meets(&c.like, n), mark
	}
	return c.reached
}

const (
	buckets     = 64
	bucketWidth = 0.1
	roomy, full = 0, 1
)

// place is where an agent stands in its class.
type place struct{ bucket, side, index int }

func alike(a, b *directory.Agent) bool {
	return slices.Equal(a.Status.Capabilities, b.Status.Capabilities) && slices.Equal(a.Targets, b.Targets) && slices.Equal(a.Tags, b.Tags)
}

func (f *Farm) classOf(a *directory.Agent) *class {
	for _, c := range f.classes {
		if alike(&c.like, a) {
			return c
		}
	}
	c := &class{like: *a}
	f.classes = append(f.classes, c)
	return c
}

func (f *Farm) unplace(a *member) {
	if a.class == nil || a.place.bucket < 0 {
		return
	}
	a.class.take(a)
	if a.class.count[roomy]+a.class.count[full] == 0 {
		f.classes = slices.DeleteFunc(f.classes, func(c *class) bool { return c == a.class })
		a.class = nil
	}
}

// take takes the agent from its place, which the last of that list gets.
func (c *class) take(a *member) {
	list := &c.buckets[a.place.bucket][a.place.side]
	last := len(*list) - 1
	moved := (*list)[last]
	(*list)[a.place.index], (*list)[last] = moved, nil
	moved.place.index = a.place.index
	*list = (*list)[:last]
	c.count[a.place.side]--
	a.place.bucket = -1
}

// replace puts the agent where it belongs by now.
func (f *Farm) replace(a *member, now int64) {
	if a.class == nil {
		return // it has not been seen yet
	}
	e := speedPrior.at(a.speed, now)
	hope := e.mean - math.Sqrt(e.variance)
	p := place{bucket: min(max(int((hope+buckets*bucketWidth/2)/bucketWidth), 0), buckets-1), side: full}
	if a.view.Parked && a.account.Free().Cores > 0 && !a.rel.resting(a.salt, len(a.account.Held()), now) {
		p.side = roomy
	}
	if a.place.bucket == p.bucket && a.place.side == p.side {
		return
	}
	c := a.class
	if a.place.bucket >= 0 {
		c.take(a)
	}
	list := &c.buckets[p.bucket][p.side]
	p.index = len(*list)
	*list = append(*list, a)
	c.count[p.side]++
	a.place = p
}
