package simulation

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/toolchain"
)

// width is the largest number of candidates of a job. The broker's default is 8.
const width = 4

// blind is the common part of most policies: they learn nothing.
type blind struct{}

func (blind) changed(*run, int)      {}
func (blind) queued(*run, *job, int) {}
func (blind) began(*run, *job)       {}
func (blind) ended(*run, *job, bool) {}

// uniform chooses random agents.
type uniform struct {
	blind
	rnd *rand.Rand
}

func (p *uniform) choose(r *run, _ *job) []int { return p.some(r, width) }

func (p *uniform) some(r *run, n int) []int {
	var c []int
	for len(c) < n {
		if a := p.rnd.IntN(len(r.agents)); !slices.Contains(c, a) {
			c = append(c, a)
		}
	}
	return c
}

// roundRobin chooses the agents in turn.
type roundRobin struct {
	blind
	next int
}

func (p *roundRobin) choose(r *run, _ *job) []int {
	c := make([]int, width)
	for i := range c {
		c[i] = (p.next + i) % len(r.agents)
	}
	p.next++
	return c
}

// leastLoaded chooses the agents with the largest share of free slots, waiting jobs
// included, and at random among equals.
type leastLoaded struct {
	blind
	rnd *rand.Rand
}

func (r *run) load(agent int) float64 {
	s := &r.agents[agent]
	return (float64(len(s.running)) + s.waiting) / float64(r.machines[agent].slots)
}

func (p *leastLoaded) choose(r *run, _ *job) []int {
	return lowest(r, width, func(a int) float64 { return r.load(a) + 1e-6*p.rnd.Float64() })
}

// twoChoices draws two agents and prefers the less loaded one.
type twoChoices struct{ uniform }

func (p *twoChoices) choose(r *run, _ *job) []int {
	c := p.some(r, 2)
	if r.load(c[1]) < r.load(c[0]) {
		c[0], c[1] = c[1], c[0]
	}
	return c
}

// snowflake is the rule of Snowflake's broker: of the proxies that poll at this
// moment, it chooses the one that serves the fewest clients by its own count. It
// considers neither a proxy's capacity nor its speed. Snowflake refuses a client
// when no proxy polls; here the client waits for the next one, which is to this
// policy's advantage.
type snowflake struct {
	blind
	rnd *rand.Rand
}

func (p *snowflake) choose(r *run, _ *job) []int {
	c := lowest(r, 1, func(a int) float64 {
		if !r.room(a) {
			return math.Inf(1)
		}
		return float64(len(r.agents[a].running)) + 1e-6*p.rnd.Float64()
	})
	if !r.room(c[0]) {
		return nil
	}
	return c
}

func lowest(r *run, n int, f func(agent int) float64) []int {
	c := make([]int, 0, n)
	v := make([]float64, 0, n)
	for a := range r.agents {
		x := f(a)
		if len(c) == n && x >= v[n-1] {
			continue
		}
		if len(c) < n {
			c, v = append(c, 0), append(v, 0)
		}
		i := len(c) - 1
		for i > 0 && v[i-1] > x {
			c[i], v[i] = c[i-1], v[i-1]
			i--
		}
		c[i], v[i] = a, x
	}
	return c
}

// oracle uses the scheduler's formula for all agents, with their true speeds and
// reliabilities, the true sizes of projects and the true warm workspaces. It does
// not know the luck of a single build. It is greedy: it chooses the best for each
// job in turn and not for the farm, so that other policies can beat it.
type oracle struct{ blind }

// oracleCut is the oracle's closeTo. Values from 0.02 to 0.4 make little difference.
const oracleCut = 0.2

func (o oracle) choose(r *run, j *job) []int {
	c := lowest(r, width, func(a int) float64 { v, _ := o.expected(r, j, a); return v })
	best, took := o.expected(r, j, c[0])
	for i := range c {
		if v, _ := o.expected(r, j, c[i]); v-best > took*oracleCut {
			return c[:i]
		}
	}
	return c
}

func (oracle) expected(r *run, j *job, a int) (expected, took float64) {
	m, s := &r.machines[a], &r.agents[a]
	pace := m.pace(r.now)
	if pace == 0 {
		return math.Inf(1), math.Inf(1)
	}
	took = r.sizes[j.order.project] * meanLuck / pace
	if slices.Contains(s.warm, j.order.project) {
		took *= warmFactor
	}
	wait := 0.0
	if !r.room(a) {
		wait = math.Inf(1)
		average := 0.0
		for _, k := range s.running {
			full := r.sizes[k.order.project] * meanLuck / pace
			if k.warm {
				full *= warmFactor
			}
			wait = min(wait, max(k.began+full-r.now, full/10))
			average += full / float64(len(s.running))
		}
		wait += average * s.waiting / float64(m.slots)
	}
	return (wait + m.reliable*took + (1-m.reliable)*took/2) / m.reliable, took
}

// learned is the broker's own scheduler.
type learned struct {
	farm  *scheduler.Farm
	seed  uint64
	names []string
	warm  map[int]scheduler.Warmth // by job, since its claim
	dir   *directory.Directory
	polls []*directory.Poll // the parked poll of each agent, or nil
	index map[string]int
}

var epoch = time.Unix(1_700_000_000, 0)

func (r *run) time() time.Time { return epoch.Add(time.Duration(r.now * 1e9)) }

var caps = []api.Capability{{Target: "esp32", Toolchain: "esp-idf", Version: "5.3.1"}}

func newLearned(w *world) *learned {
	p := &learned{farm: scheduler.NewFarm(nil), seed: w.Seed, index: map[string]int{}, warm: map[int]scheduler.Warmth{}}
	var listed []identity.Authorized
	for i := range w.machines {
		name := fmt.Sprintf("agent%04d", i)
		p.names = append(p.names, name)
		p.index[name] = i
		listed = append(listed, identity.Authorized{Fingerprint: name, Name: name})
	}
	p.dir, p.polls = directory.New(listed), make([]*directory.Poll, len(listed))
	p.dir.Observe(p.farm)
	return p
}

func (p *learned) need(j *job) scheduler.Need {
	return scheduler.Need{Target: "esp32", Toolchain: toolchain.Requirement{Name: "esp-idf"}, Capacity: capacity.Capacity{Cores: 1, MemoryMB: 1}, Project: fmt.Sprint("project", j.order.project)}
}

func (p *learned) choose(r *run, j *job) []int {
	p.seed++
	ranked := p.farm.Choose(p.need(j), scheduler.Options{Now: r.time(), Grace: time.Minute, Max: width, Seed: p.seed})
	c := make([]int, len(ranked))
	for i := range ranked {
		c[i] = p.index[ranked[i].Fingerprint]
	}
	return c
}

// changed polls for the agent. The poll parks if there is room.
func (p *learned) changed(r *run, agent int) {
	s, slots := &r.agents[agent], r.machines[agent].slots
	status := &api.Status{TotalCores: slots, FreeCores: slots - len(s.running), TotalMemMB: slots, FreeMemMB: slots - len(s.running), Capabilities: caps}
	for _, j := range s.running {
		status.RunningJobs = append(status.RunningJobs, fmt.Sprint(j.id))
	}
	status.Warm = []string{}
	for _, w := range s.warm {
		status.Warm = append(status.Warm, fmt.Sprint("project", w))
	}
	now, poll := r.time(), p.polls[agent]
	if err := p.dir.Update(p.names[agent], status, now); err != nil {
		panic(err) // only for sealing keys
	}
	switch parks := r.room(agent); {
	case parks && poll == nil:
		parked, _ := p.dir.Park(p.names[agent])
		p.polls[agent] = &parked
	case !parks && poll != nil:
		poll.End(now)
		p.polls[agent] = nil
	}
}

func (p *learned) queued(_ *run, j *job, jobs int) {
	c := make([]string, len(j.candidates))
	for i, a := range j.candidates {
		c[i] = p.names[a]
	}
	p.farm.Queue(c, jobs)
}

func (p *learned) began(r *run, j *job) {
	name := p.names[j.agent]
	now := r.time()
	p.warm[j.id] = p.farm.Warmth(name, p.need(j))
	expected := p.farm.Expect(name, p.need(j), now)
	if !p.dir.Reserve(name, directory.Reservation{
		Job: fmt.Sprint(j.id), Need: capacity.Capacity{Cores: 1, MemoryMB: 1},
		Since: now, Until: now.Add(24 * time.Hour), Done: now.Add(expected),
	}) {
		panic("the directory refused a job that the world has room for")
	}
}

func (p *learned) ended(r *run, j *job, ok bool) {
	name := p.names[j.agent]
	p.dir.Release(name, fmt.Sprint(j.id), r.time())
	n := p.need(j)
	res := scheduler.Result{
		Agent: name, Target: n.Target, Toolchain: n.Toolchain.Name, Project: p.farm.ProjectKey(n.Project),
		Verdict: scheduler.Built, Warmth: p.warm[j.id], Took: time.Duration((r.now - j.began) * 1e9), At: r.time(),
	}
	if !ok {
		res.Verdict = scheduler.Failed
	}
	delete(p.warm, j.id)
	p.farm.Learn(res)
}
