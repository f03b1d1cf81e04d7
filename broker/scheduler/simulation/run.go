package simulation

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
)

// policy chooses agents. Its other methods report the events that a broker sees.
type policy interface {
	// choose returns candidates, best first; none means the next agent that has
	// room.
	choose(r *run, j *job) []int
	// changed: the agent began or ended jobs.
	changed(r *run, agent int)
	// queued: the job joined (+1) or left (−1) the lines of its candidates.
	queued(r *run, j *job, jobs int)
	// began and ended are an attempt of a job on its agent.
	began(r *run, j *job)
	ended(r *run, j *job, ok bool)
}

type job struct {
	id         int
	order      *order
	tries      int
	agent      int // the one that runs it, or −1
	candidates []int
	waits      bool
	began      float64
	ends       float64
	ok         bool
	warm       bool
}

type state struct {
	running []*job
	line    []*job // in order of age; some have gone elsewhere
	warm    []int  // projects, newest last
	waiting float64
}

type run struct {
	*world
	policy policy
	now    float64
	agents []state
	open   []*job // jobs that wait for any agent
	events events

	times     []float64 // seconds from arrival to success, by order; NaN: given up
	attempts  int
	warm      int     // attempts
	afterFail []int32 // agents of attempts, in order, since the victim broke
	backAfter float64 // seconds from recovery to the victim's third success
	back      int
}

// maxTries is the number of attempts after which a client gives up.
const maxTries = 25

func play(w *world, p policy) *run {
	r := &run{world: w, policy: p, agents: make([]state, len(w.machines)), times: make([]float64, len(w.orders)), backAfter: math.Inf(1)}
	for i := range w.machines {
		p.changed(r, i)
	}
	next := 0
	for next < len(w.orders) || len(r.events) > 0 {
		if next < len(w.orders) && (len(r.events) == 0 || w.orders[next].at <= r.events[0].ends) {
			o := &w.orders[next]
			r.now = o.at
			r.place(&job{id: next, order: o, agent: -1})
			next++
			continue
		}
		j := heap.Pop(&r.events).(*job)
		r.now = j.ends
		r.end(j)
	}
	return r
}

func (r *run) room(agent int) bool {
	return len(r.agents[agent].running) < r.machines[agent].slots
}

// place finds an agent for the job, as the broker's rendezvous does.
func (r *run) place(j *job) {
	j.candidates = r.policy.choose(r, j)
	for _, a := range j.candidates {
		if r.room(a) {
			r.start(j, a)
			return
		}
	}
	j.waits = true
	r.policy.queued(r, j, 1)
	if len(j.candidates) == 0 {
		r.open = append(r.open, j)
	}
	for _, a := range j.candidates {
		r.agents[a].line = append(r.agents[a].line, j)
		r.agents[a].waiting += 1 / float64(len(j.candidates))
	}
}

func (r *run) start(j *job, agent int) {
	if j.waits {
		j.waits = false
		r.policy.queued(r, j, -1)
		for _, a := range j.candidates {
			r.agents[a].waiting -= 1 / float64(len(j.candidates))
		}
	}
	m, s := &r.machines[agent], &r.agents[agent]
	j.agent, j.began = agent, r.now
	j.tries++
	r.attempts++
	rnd := rand.New(rand.NewPCG(j.order.luck, uint64(j.tries)))
	j.warm = slices.Contains(s.warm, j.order.project)
	pace := m.pace(r.now)
	took := r.sizes[j.order.project] * math.Exp(spread*rnd.NormFloat64()) / max(pace, 1e-9)
	if j.warm {
		took *= warmFactor
	}
	j.ok = rnd.Float64() < m.reliable
	if !j.ok {
		took *= rnd.Float64()
	}
	if pace == 0 {
		j.ok, took = false, failsWithin
	}
	j.ends = r.now + took
	if j.warm {
		r.warm++
	}
	s.running = append(s.running, j)
	heap.Push(&r.events, j)
	if r.victim >= 0 {
		r.watchBegin(agent)
	}
	r.policy.began(r, j)
	r.policy.changed(r, agent)
}

func (r *run) end(j *job) {
	a := j.agent
	s := &r.agents[a]
	s.running = slices.DeleteFunc(s.running, func(k *job) bool { return k == j })
	r.policy.ended(r, j, j.ok)
	if j.ok {
		s.warm = append(slices.DeleteFunc(s.warm, func(p int) bool { return p == j.order.project }), j.order.project)
		if len(s.warm) > warmRoom {
			s.warm = slices.Delete(s.warm, 0, 1)
		}
		r.times[j.id] = r.now - j.order.at
	}
	if r.victim == a && j.ok {
		r.watchSuccess(j)
	}
	r.policy.changed(r, a)
	r.refill(a)
	switch {
	case j.ok:
	case j.tries >= maxTries:
		r.times[j.id] = math.NaN()
	default:
		j.agent = -1
		r.place(j)
	}
}

// refill gives the agent the oldest job that waits for it.
func (r *run) refill(agent int) {
	s := &r.agents[agent]
	for r.room(agent) {
		for len(s.line) > 0 && !(s.line[0].waits && slices.Contains(s.line[0].candidates, agent)) {
			s.line = s.line[1:]
		}
		for len(r.open) > 0 && !r.open[0].waits {
			r.open = r.open[1:]
		}
		switch {
		case len(s.line) > 0 && (len(r.open) == 0 || s.line[0].order.at <= r.open[0].order.at):
			r.start(s.line[0], agent)
		case len(r.open) > 0:
			r.start(r.open[0], agent)
		default:
			return
		}
	}
}

// watchBegin and watchSuccess follow the machine that breaks: how many attempts it
// gets while it is broken, and when it works again.
func (r *run) watchBegin(agent int) {
	f := r.machines[r.victim].faults[0]
	if r.now >= f.from && r.now < f.to {
		r.afterFail = append(r.afterFail, int32(agent))
	}
}

func (r *run) watchSuccess(j *job) {
	f := r.machines[r.victim].faults[0]
	if j.began >= f.to {
		if r.back++; r.back == 3 {
			r.backAfter = r.now - f.to
		}
	}
}

// brokenShare returns the victim's share of the attempts while it is broken, without
// the first 20 attempts of the farm.
func (r *run) brokenShare() float64 {
	if len(r.afterFail) <= 20 {
		return math.NaN()
	}
	n := 0
	for _, a := range r.afterFail[20:] {
		if int(a) == r.victim {
			n++
		}
	}
	return float64(n) / float64(len(r.afterFail)-20)
}

// Summary is the result of a run.
type Summary struct {
	// Cold covers the 10th to the 40th job for each agent, while the agents are
	// unknown. Steady covers the jobs from the 100th for each agent on.
	Cold, Steady Times
	Attempts     float64 // per job
	GaveUp       int
	// Warm is the share of attempts in warm workspaces.
	Warm float64
}

// Times are seconds from arrival to success.
type Times struct{ Mean, P95 float64 }

// Jobs for each agent.
const (
	coldFrom, coldTo = 10, 40
	steadyFrom       = 100
)

func (r *run) summary() Summary {
	n := len(r.machines)
	s := Summary{
		Cold:     timesOf(r.times[min(coldFrom*n, len(r.times)):min(coldTo*n, len(r.times))]),
		Steady:   timesOf(r.times[min(steadyFrom*n, len(r.times)):]),
		Attempts: float64(r.attempts) / float64(len(r.orders)),
		Warm:     float64(r.warm) / float64(r.attempts),
	}
	for _, t := range r.times {
		if math.IsNaN(t) {
			s.GaveUp++
		}
	}
	return s
}

// timesOf ignores jobs that were given up. It returns NaN if no job is left.
func timesOf(times []float64) Times {
	times = slices.DeleteFunc(slices.Clone(times), math.IsNaN)
	if len(times) == 0 {
		return Times{math.NaN(), math.NaN()}
	}
	slices.Sort(times)
	sum := 0.0
	for _, t := range times {
		sum += t
	}
	return Times{sum / float64(len(times)), times[int(0.95*float64(len(times)-1))]}
}

type events []*job

func (e events) Len() int           { return len(e) }
func (e events) Less(i, k int) bool { return e[i].ends < e[k].ends }
func (e events) Swap(i, k int)      { e[i], e[k] = e[k], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(*job)) }
func (e *events) Pop() any {
	old := *e
	j := old[len(old)-1]
	*e = old[:len(old)-1]
	return j
}
