package scheduler

import (
	"math"
	"slices"
	"time"
)

// Result describes how one attempt at a job ended.
type Result struct {
	Agent             string // its fingerprint
	Target, Toolchain string
	Project           uint64 // see [Farm.ProjectKey]
	Verdict           Verdict
	// Warmth is the value of Farm.Warmth at the claim. Later the agent's status
	// also lists the workspace that the job itself has left.
	Warmth Warmth
	// Took is how long the attempt lasted on the agent.
	Took time.Duration
	At   time.Time
}

// Verdict is a result's judgment of its agent. A job that ends in any other way,
// such as an error in the user's source, makes no result: no agent gains by
// failing quickly.
type Verdict uint8

const (
	// Built: the build succeeded. Its time counts.
	Built Verdict = iota + 1
	// Failed: it was the agent's fault, such as a claim without an answer.
	Failed
)

// beliefs are what results have taught about jobs on any agent. They are immutable
// once published.
type beliefs struct {
	size  estimate // of a job, farm-wide
	rel   reliability
	kinds []kind
}

// kind is what results have taught about jobs for one target with one toolchain.
type kind struct {
	key        uint64
	size, warm estimate
	// lost is the mean duration of failed attempts in seconds, with weights that
	// decay by count.
	lost, losses float64
}

// project is what results have taught about one project's jobs of one kind. It is
// immutable once published.
type project struct {
	size estimate
	// on are the agents that built it last, newest first.
	on   [8]*member
	used int64
}

// skill is what results have taught about one agent. It is immutable once
// published. Its cells are in short lists instead of maps, as they are read for
// every candidate.
type skill struct {
	rel      reliability
	speed    estimate
	kinds    []cell // by kind
	projects []cell // by kind and project; newest last
}

type cell struct {
	key uint64
	e   estimate
}

// How much is remembered. The entry that was unused for longest is forgotten first.
// A farm of 100 000 agents with full lists takes 150 MiB.
const (
	maxKinds       = 32
	maxAgentKinds  = 16
	maxAgentBuilds = 24
	maxProjects    = 50_000
)

// Learn updates the estimates by a result. The agent need not have polled yet, so
// that a broker can learn from its history at its start.
func (f *Farm) Learn(r Result) {
	f.learning.Lock()
	defer f.learning.Unlock()
	m, now := f.memberOf(r.Agent), r.At.UnixNano()
	b, s := f.beliefs.Load().copy(), *m.skill.Load()
	k := b.kindOf(kindKey(r.Target, r.Toolchain))
	s.rel.learn(r.Verdict != Failed, b.rel.rate(farmRate), now)
	if s.rel.broken < suspect { // a broken agent predicts nothing about the others
		b.rel.learn(r.Verdict != Failed, farmRate, now)
	}
	switch {
	case r.Verdict == Failed:
		k.losses = k.losses*0.98 + 1
		k.lost += (r.Took.Seconds() - k.lost) / k.losses
	case r.Verdict == Built && r.Took > 0:
		f.learnTime(m, &s, b, k, &r, now)
	}
	m.skill.Store(&s)
	f.beliefs.Store(b)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reseat(now)
}

// learnTime corrects the terms that predict the time of a build.
func (f *Farm) learnTime(m *member, s *skill, b *beliefs, k *kind, r *Result, now int64) {
	y := math.Log(r.Took.Seconds())
	if b.size.at == 0 {
		b.size = estimate{y, sizePrior.variance / 2, now}
	}
	var room [7]term
	terms := append(room[:0], term{sizePrior, &b.size}, term{kindPrior, &k.size}, term{speedPrior, &s.speed})
	terms = append(terms, term{ownKindPrior, keep(&s.kinds, k.key, maxAgentKinds)})
	if key := projectKey(k.key, r.Project); key != 0 {
		p := f.touch(key, now)
		terms = append(terms, term{projectPrior, &p.size})
		built := find(s.projects, key) != nil
		own := keep(&s.projects, key, maxAgentBuilds)
		if r.Warmth == Warm || r.Warmth == Unknown && m.facts.Load().isWarm(r.Project, built) {
			terms = append(terms, term{warmPrior, &k.warm}, term{ownPrior, own})
		} else {
			own.at = now
			own.variance = ownPrior.variance
		}
		p.built(m)
		defer f.projects.Store(key, p)
	}
	observe(y, terms, now)
}

// keep replaces the list by a copy in which the cell of the key is last, and returns
// that cell. A new cell takes the place of the one that was unused for longest.
func keep(cells *[]cell, key uint64, most int) *estimate {
	list := slices.Grow(slices.Clone(*cells), 1)
	i := slices.IndexFunc(list, func(c cell) bool { return c.key == key })
	own := cell{key: key}
	switch {
	case i >= 0:
		own = list[i]
		list = slices.Delete(list, i, i+1)
	case len(list) >= most:
		list = slices.Delete(list, 0, 1)
	}
	*cells = append(list, own)
	return &(*cells)[len(list)].e
}

func find(cells []cell, key uint64) *cell {
	for i := range cells {
		if cells[i].key == key {
			return &cells[i]
		}
	}
	return nil
}

// built records that the agent was the last to build the project.
func (p *project) built(m *member) {
	i := slices.Index(p.on[:], m)
	if i < 0 {
		i = len(p.on) - 1
	}
	copy(p.on[1:i+1], p.on[:i])
	p.on[0] = m
}

// copy returns a copy for the caller to change.
func (b *beliefs) copy() *beliefs {
	return &beliefs{b.size, b.rel, slices.Clone(b.kinds)}
}

// kind returns the entry of the kind, or nil.
func (b *beliefs) kind(key uint64) *kind {
	for i := range b.kinds {
		if b.kinds[i].key == key {
			return &b.kinds[i]
		}
	}
	return nil
}

// kindOf returns the entry of the kind, which it adds if there is none. The kind that
// was unused for longest makes room for it.
func (b *beliefs) kindOf(key uint64) *kind {
	if k := b.kind(key); k != nil {
		return k
	}
	if len(b.kinds) >= maxKinds {
		oldest := 0
		for i := range b.kinds {
			if b.kinds[i].size.at < b.kinds[oldest].size.at {
				oldest = i
			}
		}
		b.kinds = slices.Delete(b.kinds, oldest, oldest+1)
	}
	b.kinds = append(b.kinds, kind{key: key})
	return &b.kinds[len(b.kinds)-1]
}

// project returns the entry of the project, or nil.
func (f *Farm) project(key uint64) *project {
	if key == 0 {
		return nil
	}
	p, _ := f.projects.Load(key)
	known, _ := p.(*project)
	return known
}

// touch returns a copy of the project's entry, for the caller to change and store.
// If there are too many entries, it deletes the older half, so that such a search
// is rare. The caller holds f.learning.
func (f *Farm) touch(key uint64, now int64) *project {
	p := f.project(key)
	if p != nil {
		p = &project{p.size, p.on, now}
		return p
	}
	if f.known >= maxProjects {
		var ages []int64
		f.projects.Range(func(_, p any) bool { ages = append(ages, p.(*project).used); return true })
		slices.Sort(ages)
		f.projects.Range(func(k, p any) bool {
			if p.(*project).used <= ages[len(ages)/2] {
				f.projects.Delete(k)
				f.known--
			}
			return true
		})
	}
	f.known++
	return &project{used: now}
}
