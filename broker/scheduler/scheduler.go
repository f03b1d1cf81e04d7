// Package scheduler chooses the agents for a job. It is pure functions over a
// snapshot: no clock, no state, no randomness but the seed that it is given.
//
//	listed agents ─▶ alive, not draining ─▶ pinned, not excluded ─▶ target ─▶ toolchain ─▶ large enough
//	                      no_agent               no_agent           no_target  no_toolchain  no_capacity
//	                                                                               │
//	                                                       rank, best first ◀──────┘
//
// Each step that leaves nobody has its own error code, so that the user learns
// which need is unmet; see [Unmet]. An agent that is merely busy stays in: the
// job waits for it.
package scheduler

import (
	"math/rand/v2"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/common/api"
)

// Snapshot is the agents to choose from.
type Snapshot interface {
	Len() int
	At(i int) directory.Agent
}

// Need is what a job asks of an agent.
type Need struct {
	Target    string // empty: any
	Toolchain string // empty: any
	Version   string // empty: any; otherwise see api.VersionMatches
	Cores     int
	MemoryMB  int
	// Agents pins the job to agents, by name or fingerprint. Empty: any.
	Agents []string
	// Exclude keeps agents from the job, by name or fingerprint.
	Exclude []string
	// Sealed asks for agents that can open sealed offers.
	Sealed bool
	// Project is an opaque key of what is built; empty: unknown.
	Project string
}

// NeedOf returns what the request asks for.
func NeedOf(r *api.GrantRequest) Need {
	name, version := api.SplitToolchain(r.Toolchain)
	return Need{
		Target: r.Target, Toolchain: name, Version: version,
		Cores: r.CPUCores, MemoryMB: r.MemoryMB, Agents: r.Agents, Exclude: r.ExcludeAgents,
		Project: r.Project,
	}
}

// Options are how to choose.
type Options struct {
	Now time.Time
	// Grace is how long after its last poll an agent counts as alive.
	Grace time.Duration
	// Max bounds the candidates.
	Max int
	// Seed breaks ties. Different seeds spread equal agents evenly.
	Seed uint64
	// Rank says how good an agent is for a need; higher is better. Nil is
	// [ByLoad].
	Rank func(a *directory.Agent, n *Need) float64
}

// enough is how many agents that could start at once are looked at before the
// rest is passed over. It bounds the work in a large fleet; the start is
// random, so that all get their turn.
const enough = 32

// Choose returns the best agents, best first, or which need is unmet.
func Choose(s Snapshot, n Need, o Options) ([]api.Candidate, *Unmet) {
	rank := o.Rank
	if rank == nil {
		rank = ByLoad
	}
	rnd := rand.New(rand.NewPCG(o.Seed, 0))
	best := make(ranked, 0, o.Max)
	ready := 0
	size := s.Len()
	start := 0
	if size > 0 {
		start = rnd.IntN(size)
	}
	for i := 0; i < size && (ready < enough || len(n.Agents) > 0); i++ {
		a := s.At((start + i) % size)
		if step(&a, &n, &o) != able {
			continue
		}
		if a.Parked && fitsNow(&a, &n) {
			ready++
		}
		best = best.insert(scored{api.Candidate{Fingerprint: a.Fingerprint, Name: a.Name, PublicKey: a.PublicKey, Sealing: a.Sealing}, rank(&a, &n), rnd.Uint64()}, o.Max)
	}
	if len(best) == 0 {
		return nil, explain(s, n, o)
	}
	candidates := make([]api.Candidate, len(best))
	for i := range best {
		candidates[i] = best[i].Candidate
	}
	return candidates, nil
}

// ByLoad ranks agents that wait with enough room first, then those with room,
// then the rest; among them the one with the most cores left, as a share of
// its own.
func ByLoad(a *directory.Agent, n *Need) float64 {
	left := float64(a.Status.FreeCores-n.Cores) / float64(a.Status.TotalCores)
	switch {
	case !fitsNow(a, n):
		return left / 1024 // n.Cores may exceed what is free
	case a.Parked:
		return 2 + left
	default:
		return 1 + left
	}
}

func fitsNow(a *directory.Agent, n *Need) bool {
	return a.Status.FreeCores >= n.Cores && a.Status.FreeMemMB >= n.MemoryMB
}

type scored struct {
	api.Candidate
	score float64
	tie   uint64
}

func (s *scored) before(t *scored) bool {
	return s.score > t.score || s.score == t.score && s.tie < t.tie
}

// ranked is kept in order and never longer than asked for.
type ranked []scored

func (r ranked) insert(s scored, most int) ranked {
	i := len(r)
	for i > 0 && s.before(&r[i-1]) {
		i--
	}
	if i >= most {
		return r
	}
	if len(r) < most {
		r = append(r, scored{})
	}
	copy(r[i+1:], r[i:])
	r[i] = s
	return r
}
