package scheduler

import (
	"math"
	"slices"
	"time"
)

// Result is how one attempt at a job ended.
type Result struct {
	Agent             string // its fingerprint
	Target, Toolchain string
	Project           uint64 // see [Farm.ProjectKey]
	Verdict           Verdict
	// Warmth is what Farm.Warmth said when the agent took the job on. By now the
	// agent says what the job itself has left.
	Warmth Warmth
	// Took is the attempt's time on the agent.
	Took time.Duration
	At   time.Time
}

// Warmth is whether an agent has something left of a project's earlier builds.
type Warmth uint8

const (
	// Unsaid: nobody looked at the time. What the agent says now counts.
	Unsaid Warmth = iota
	Cold
	Warm
)

// Verdict is what a result says of its agent. A job that ended otherwise, as with
// an error in the user's source, is no result: to fail quickly shall raise nobody.
type Verdict uint8

const (
	// Built: the agent did what was asked. Its time counts.
	Built Verdict = iota + 1
	// Failed: the agent's own fault, such as a claim without an answer.
	Failed
)

// Learn takes a result in, also of an agent that has not been seen yet: so the
// results of the past can be taken in before the agents come.
func (f *Farm) Learn(r Result) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.memberOf(r.Agent)
	now := r.At.UnixNano()
	kk := kindKey(r.Target, r.Toolchain)
	k := f.kindOf(kk)
	rate := f.rel.rate(farmRate)
	a.rel.learn(r.Verdict != Failed, rate, now)
	if a.rel.broken < suspect { // what is broken says nothing of the others
		f.rel.learn(r.Verdict != Failed, farmRate, now)
	}
	switch {
	case r.Verdict == Failed:
		k.losses = k.losses*0.98 + 1
		k.lost += (r.Took.Seconds() - k.lost) / k.losses
	case r.Verdict == Built && r.Took > 0:
		f.learnTime(a, k, kk, projectKey(kk, r.Project), &r, math.Log(r.Took.Seconds()), now)
	}
	f.replace(a, now)
}

func (f *Farm) learnTime(a *member, k *kind, kk, pk uint64, r *Result, y float64, now int64) {
	if f.size.at == 0 {
		f.size = estimate{y, sizePrior.variance / 2, now}
	}
	var room [7]term
	terms := append(room[:0], term{sizePrior, &f.size}, term{kindPrior, &k.size}, term{speedPrior, &a.speed})
	terms = append(terms, term{ownKindPrior, keep(&a.kinds, kk, maxAgentKinds)})
	if pk != 0 {
		p := f.projectOf(pk, now)
		terms = append(terms, term{projectPrior, &p.size})
		warm := r.Warmth == Warm || r.Warmth == Unsaid && a.isWarm(r.Project, pk)
		own := keep(&a.projects, pk, maxAgentBuilds)
		if warm {
			terms = append(terms, term{warmPrior, &k.warm}, term{ownPrior, own})
		} else {
			own.at = now
			own.variance = ownPrior.variance
		}
		p.built(a)
	}
	observe(y, terms, now)
}

// keep returns the cell of the key, moved to the end of the list, or a new one
// in place of the one that was longest unused.
func keep(cells *[]cell, key uint64, most int) *estimate {
	list := *cells
	i := slices.IndexFunc(list, func(c cell) bool { return c.key == key })
	switch {
	case i >= 0:
		c := list[i]
		copy(list[i:], list[i+1:])
		list[len(list)-1] = c
	case len(list) < most:
		list = append(list, cell{key: key})
	default:
		copy(list, list[1:])
		list[len(list)-1] = cell{key: key}
	}
	*cells = list
	return &list[len(list)-1].e
}

func (p *project) built(a *member) {
	i := slices.Index(p.on[:], a)
	if i < 0 {
		i = len(p.on) - 1
	}
	copy(p.on[1:i+1], p.on[:i])
	p.on[0] = a
}

func (f *Farm) kindOf(key uint64) *kind {
	k := f.kinds[key]
	if k == nil {
		if len(f.kinds) >= maxKinds {
			evict(f.kinds, func(k *kind) int64 { return k.size.at })
		}
		k = &kind{}
		f.kinds[key] = k
	}
	return k
}

func (f *Farm) projectOf(key uint64, now int64) *project {
	p := f.projects[key]
	if p == nil {
		if len(f.projects) >= maxProjects {
			evict(f.projects, func(p *project) int64 { return p.used })
		}
		p = &project{}
		f.projects[key] = p
	}
	p.used = now
	return p
}

// evict forgets the older half, so that a full map is not searched each time.
func evict[V any](m map[uint64]V, used func(V) int64) {
	ages := make([]int64, 0, len(m))
	for _, v := range m {
		ages = append(ages, used(v))
	}
	slices.Sort(ages)
	for k, v := range m {
		if used(v) <= ages[len(ages)/2] {
			delete(m, k)
		}
	}
}

// Expect is how long the job should take on the agent.
func (f *Farm) Expect(fingerprint string, n Need, now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.want(&n, now.UnixNano())
	seconds := math.Exp(w.size)
	if a := f.byID[fingerprint]; a != nil {
		seconds *= math.Exp(speedPrior.at(a.speed, w.now).mean)
		if w.proj != 0 && a.isWarm(w.name, w.proj) {
			seconds *= math.Exp(w.warm)
		}
	}
	return time.Duration(seconds * float64(time.Second))
}
