// Package scheduler chooses the agents for a job: those that meet its need, in
// the order of the expected time to a successful result.
//
//	listed agents ─▶ alive, not draining ─▶ pinned, not excluded ─▶ target ─▶ toolchain ─▶ tags ─▶ large enough
//	                      no_agent               no_agent           no_target  no_toolchain  no_tag   no_capacity
//	                                                                                       │
//	                   what agents say, claims, results ─▶ Farm.Choose ◀───────────────────┘
//
// Each step that leaves nobody has its own error code, so that the user learns
// which need is unmet; see [Explain]. An agent that is merely busy stays in: the
// job waits for it.
//
// A [Farm] has no clock and no randomness but the time and the seed that it is
// given: the same history gives the same choices. doc/scheduling.md has the
// formulas.
package scheduler

import (
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/nat"
	"github.com/farforge/farforge/common/toolchain"
)

// Snapshot is the agents to choose from.
type Snapshot interface {
	Len() int
	At(i int) directory.Agent
}

// Need is what a job asks of an agent.
type Need struct {
	Kind      string // of the project; empty: unknown
	Target    string // empty: any
	Toolchain toolchain.Requirement
	capacity.Capacity
	// Tags are what the agent must have, all of them.
	Tags []string
	// Agents pins the job to agents, by name or fingerprint. Empty: any.
	Agents []string
	// Exclude keeps agents from the job, by name or fingerprint.
	Exclude []string
	// Sealed asks for agents that can open sealed offers.
	Sealed bool
	// Project is an opaque key of what is built; empty: unknown.
	Project string
	// NAT is what the client is behind.
	NAT nat.NAT
}

// NeedOf returns what the request asks for. It fails if the request's toolchain
// is not one, which Validate has found out before.
func NeedOf(r *api.GrantRequest) (Need, error) {
	chain, err := toolchain.Parse(r.Toolchain)
	if err != nil {
		return Need{}, err
	}
	return Need{
		Kind: r.Kind, Target: r.Target, Toolchain: chain, Tags: r.Tags,
		Capacity: capacity.Capacity{Cores: r.CPUCores.Whole(), MemoryMB: r.MemoryMB}, Agents: r.Agents, Exclude: r.ExcludeAgents,
		Project: r.Project, NAT: nat.Parse(r.NAT),
	}, nil
}

// Options are how to choose.
type Options struct {
	Now time.Time
	// Grace is how long after its last poll an agent counts as alive.
	Grace time.Duration
	// Max bounds the candidates.
	Max int
	// Seed is where all chance in the choice comes from.
	Seed uint64
}
