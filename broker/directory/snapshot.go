package directory

import (
	"slices"
	"time"

	"github.com/farforge/farforge/common/api"
)

// Agent is what is known of one agent at one moment.
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
}

// Alive tells whether the agent can be expected to take a job: it is parked, or
// was not seen longer ago than grace. One that has vanished is not alive at once,
// without any grace: to wait for it costs a client many seconds if it has crashed,
// and not to wait costs it one if it has not, as it will be back by then.
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

// Snapshot is a list of agents, in the order of their names, to read by index.
// The list is fixed; each agent's state is read when At is called, so that a
// reader who stops early has copied nothing in vain.
type Snapshot struct{ table *table }

// Snapshot returns the agents that are listed now.
func (d *Directory) Snapshot() Snapshot { return Snapshot{d.table.Load()} }

// Len returns the number of listed agents.
func (s Snapshot) Len() int { return len(s.table.list) }

// At returns agent i, 0 ≤ i < Len().
func (s Snapshot) At(i int) Agent { return s.table.list[i].view() }

// Behind returns the index behind the agent with the fingerprint, or false if
// that is not in the list. It does not read the list from the beginning.
func (s Snapshot) Behind(fingerprint string) (i int, ok bool) {
	e := s.table.byName[fingerprint]
	if e == nil {
		return 0, false
	}
	i, ok = slices.BinarySearchFunc(s.table.list, e, byName)
	return i + 1, ok
}

func (e *entry) view() Agent {
	a := Agent{
		Fingerprint: e.who.Fingerprint, Name: e.who.Name,
		PublicKey: e.line, Targets: e.who.Targets, Sealing: e.sealingKey(),
		Status: e.status.Load(), Parked: e.parked.Load() > 0, Vanished: e.vanished(),
	}
	if a.Tags = e.who.Tags; len(a.Tags) == 0 && a.Status != nil {
		a.Tags = a.Status.Tags
	}
	if seen := e.lastSeen.Load(); seen != 0 {
		a.LastSeen = time.Unix(0, seen)
	}
	return a
}

// Agent returns what is known of one listed agent.
func (d *Directory) Agent(fingerprint string) (Agent, bool) {
	e, ok := d.table.Load().byName[fingerprint]
	if !ok {
		return Agent{}, false
	}
	return e.view(), true
}
