package directory

import (
	"slices"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/identity"
)

// Agent is what is known of one agent at one moment. It is not changed once it is
// published.
type Agent struct {
	Fingerprint string
	Name        string
	// PublicKey is its key, one line in OpenSSH format, without a comment.
	PublicKey string
	// Targets are what its operator lets it build for; empty is all.
	Targets []string
	// Tags are its operator's if there are any, else its own.
	Tags []string
	// Sealing is what its offers are sealed to, checked to be its own; nil if it
	// has none.
	Sealing *api.SealingKey
	// Status is what its last poll said; nil before its first.
	Status   *api.Status
	LastSeen time.Time
	// Parked: it waits for a job right now.
	Parked bool
	// Vanished: the connection of its newest poll went away, and it has not
	// polled since.
	Vanished bool
	// Account has what is promised to jobs, and Free is what is left of it.
	Account Account
	Free    capacity.Capacity

	listed *identity.Authorized
}

// Total returns the agent's whole size; nothing before its first poll.
func (a *Agent) Total() capacity.Capacity {
	if a.Status == nil {
		return capacity.Capacity{}
	}
	return capacity.Capacity{Cores: a.Status.TotalCores, MemoryMB: a.Status.TotalMemMB}
}

// Alive tells whether the agent can be expected to take a job: it is parked, or
// was seen within grace. An agent that has vanished is not alive, without any
// grace: if it has crashed, waiting for it costs a client many seconds; if it
// has not, it is back within one.
func (a *Agent) Alive(now time.Time, grace time.Duration) bool {
	return !a.Vanished && a.recent(now, grace)
}

// Lost tells whether the agent would be alive if it had not vanished.
func (a *Agent) Lost(now time.Time, grace time.Duration) bool {
	return a.Vanished && a.recent(now, grace)
}

func (a *Agent) recent(now time.Time, grace time.Duration) bool {
	return a.Status != nil && (a.Parked || now.Sub(a.LastSeen) <= grace)
}

// MayBuild tells whether the operator lets the agent build for the target.
func (a *Agent) MayBuild(target string) bool {
	return len(a.Targets) == 0 || slices.Contains(a.Targets, target)
}
