// Package scheduler chooses the agents for a job: those that meet its need, in
// the order of the expected time to a successful result.
//
//	listed agents ─▶ alive, not draining ─▶ pinned, not excluded ─▶ recipe for the kind
//	                      no_agent               no_agent               no_recipe
//	       ┌──────────────────────────────────────────────────────────────────┘
//	       └─▶ target ─▶ toolchain ─▶ tags ─▶ large enough ─▶ ranked by expected time
//	         no_target  no_toolchain  no_tag   no_capacity
//
// A step that no agent passes has its own error code, so that the user learns
// which need is unmet; see [Explain]. A busy agent passes: the job waits for it.
//
// A [Farm] has neither a clock nor a source of chance: the caller passes the time
// and a seed, and the same history gives the same choices. doc/scheduling.md has
// the formulas.
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

// Need is what a job needs from an agent.
type Need struct {
	Kind      string // of the project; empty: unknown
	Target    string // empty: any
	Toolchain toolchain.Requirement
	capacity.Capacity
	// Tags are all required.
	Tags []string
	// Agents pins the job to agents, by name or fingerprint. Empty: any.
	Agents []string
	// Exclude lists agents that do not get the job, by name or fingerprint.
	Exclude []string
	// Sealed: the agent must be able to open sealed offers.
	Sealed bool
	// Project is an opaque key of the project; empty: unknown.
	Project string
	// NAT is the kind of NAT that the client is behind.
	NAT nat.NAT
}

// NeedOf returns the need of a request. It fails if the toolchain cannot be
// parsed; Validate has checked that before.
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

// Options control a choice.
type Options struct {
	Now time.Time
	// Grace is how long an agent counts as alive after its last poll.
	Grace time.Duration
	// Max bounds the number of candidates.
	Max int
	// Seed determines all chance in the choice.
	Seed uint64
}
