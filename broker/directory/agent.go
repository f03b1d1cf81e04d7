package directory

import (
	"slices"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/identity"
)

// Agent is the state of an agent at one moment. It is immutable once published.
type Agent struct {
	Fingerprint string
	Name        string
	// PublicKey is its key, one line in OpenSSH format, without a comment.
	PublicKey string
	// Targets are those that the operator allows; empty allows all.
	Targets []string
	// Tags are those of the operator's list if it has any, else the agent's own.
	Tags []string
	// Sealing is the key for sealing offers to the agent, which the agent has signed;
	// nil if there is none.
	Sealing *api.SealingKey
	// Status is that of its last poll; nil before the first.
	Status   *api.Status
	LastSeen time.Time
	// Parked reports whether a poll of the agent is parked.
	Parked bool
	// Vanished reports whether the connection of its newest poll broke and it has not
	// polled since.
	Vanished bool
	// Account has the reservations, and Free is the capacity that they leave.
	Account Account
	Free    capacity.Capacity

	listed *identity.Authorized
}

// Total returns the agent's whole capacity, which is zero before its first poll.
func (a *Agent) Total() capacity.Capacity {
	if a.Status == nil {
		return capacity.Capacity{}
	}
	return capacity.Capacity{Cores: a.Status.TotalCores, MemoryMB: a.Status.TotalMemMB}
}

// Alive reports whether the agent can be expected to take a job: it is parked,
// or was seen within grace. A vanished agent gets no grace: if it has crashed, a
// client would wait many seconds for nothing; if it has not, it polls again
// within a second.
func (a *Agent) Alive(now time.Time, grace time.Duration) bool {
	return !a.Vanished && a.recent(now, grace)
}

// Lost reports whether the agent would be alive if it had not vanished.
func (a *Agent) Lost(now time.Time, grace time.Duration) bool {
	return a.Vanished && a.recent(now, grace)
}

func (a *Agent) recent(now time.Time, grace time.Duration) bool {
	return a.Status != nil && (a.Parked || now.Sub(a.LastSeen) <= grace)
}

// MayBuild reports whether the operator allows the target on this agent.
func (a *Agent) MayBuild(target string) bool {
	return len(a.Targets) == 0 || slices.Contains(a.Targets, target)
}
