// Package directory keeps the agents of a broker: those that may serve, as the
// operator's authorized_agents file lists them, their presence, and their
// reservations for jobs.
//
//	authorized_agents ──▶ File ──▶ Replace ──┐             ┌──▶ Lookup ──▶ authentication
//	poll ──▶ Update, Park, End, Break ───────┼──▶ record ──┼──▶ Agent, Snapshot ──▶ lists, errors
//	claim ──▶ Reserve, Drop ─────────────────┤             └──▶ Observer ──▶ scheduler
//	answer, report ──▶ Answer, Release ──────┘
//
// Each listed agent has one record with one lock. An event changes the record under
// that lock and publishes its new state as an immutable [Agent]. Readers load the
// published state and never wait, and events of two agents never wait for each
// other.
//
// The directory is as large as the list: an agent that is not listed leaves no
// trace.
package directory

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/identity"
)

// Directory is safe for concurrent use.
type Directory struct {
	table    atomic.Pointer[table]
	observer atomic.Pointer[Observer]
	// healed and expired count reservations that no report ended; see Totals.
	healed, expired atomic.Int64

	replacing sync.Mutex
	revoked   func(identity.Authorized) // guarded by replacing
}

// Observer receives every change; the changes of one agent come in the order in which
// they happen. The methods run while the record of that agent is locked: they must
// be quick and must not call the directory.
type Observer interface {
	// Update receives the new state of a listed agent, which is immutable.
	Update(a *Agent, now time.Time)
	// Remove is called when an agent is removed from the list.
	Remove(fingerprint string)
}

// table is the list at one time. It is immutable once published; the records in it
// are not.
type table struct {
	list          []entry // by name, then fingerprint
	byFingerprint map[string]entry
}

// entry is a record with its name in this table.
type entry struct {
	name string
	*record
}

// New returns a directory of the listed agents.
func New(agents []identity.Authorized) *Directory {
	d := &Directory{}
	d.table.Store(&table{byFingerprint: map[string]entry{}})
	d.Replace(agents)
	return d
}

// OnRevoked sets the function that is called for each agent that is removed from the
// list, once Lookup does not find it any more. It must be quick and must not call
// Replace.
func (d *Directory) OnRevoked(f func(identity.Authorized)) {
	d.replacing.Lock()
	defer d.replacing.Unlock()
	d.revoked = f
}

// Observe sets the observer, which receives the state of all listed agents at once.
// There is one observer; it is set before goroutines share the directory.
func (d *Directory) Observe(o Observer) {
	d.observer.Store(&o)
	for _, e := range d.table.Load().list {
		e.change(d, time.Time{}, func() {})
	}
}

// Replace sets the list. An agent that stays keeps its record, even under another
// name. It returns the numbers of added and removed agents.
func (d *Directory) Replace(agents []identity.Authorized) (added, removed int) {
	d.replacing.Lock()
	defer d.replacing.Unlock()
	old := d.table.Load()
	next := &table{byFingerprint: make(map[string]entry, len(agents))}
	for _, who := range agents {
		e := old.byFingerprint[who.Fingerprint]
		if e.record == nil {
			added++
			e.record = &record{fingerprint: who.Fingerprint, gone: make(chan struct{})}
		}
		e.name = who.Name
		e.list(d, who)
		next.list = append(next.list, e)
		next.byFingerprint[who.Fingerprint] = e
	}
	slices.SortFunc(next.list, byName)
	d.table.Store(next)
	for _, e := range old.list {
		if _, stays := next.byFingerprint[e.fingerprint]; stays {
			continue
		}
		removed++
		e.remove(d)
		if d.revoked != nil {
			d.revoked(*e.view.Load().listed)
		}
	}
	return added, removed
}

func byName(a, b entry) int {
	return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.fingerprint, b.fingerprint))
}

// Lookup returns the listed agent with the fingerprint.
func (d *Directory) Lookup(fingerprint string) (identity.Authorized, bool) {
	e, ok := d.table.Load().byFingerprint[fingerprint]
	if !ok {
		return identity.Authorized{}, false
	}
	return *e.view.Load().listed, true
}

// Agent returns the state of a listed agent.
func (d *Directory) Agent(fingerprint string) (Agent, bool) {
	e, ok := d.table.Load().byFingerprint[fingerprint]
	if !ok {
		return Agent{}, false
	}
	return *e.view.Load(), true
}

// Snapshot is the list of agents at one time, in the order of their names. The list
// is fixed; At reads the state that the agent has at the call.
type Snapshot struct{ table *table }

// Snapshot returns the agents that are listed now.
func (d *Directory) Snapshot() Snapshot { return Snapshot{d.table.Load()} }

// Len returns the number of listed agents.
func (s Snapshot) Len() int { return len(s.table.list) }

// At returns agent i, 0 ≤ i < Len().
func (s Snapshot) At(i int) Agent { return *s.table.list[i].view.Load() }

// Behind returns the index after that of the agent with the fingerprint, and false if
// the list does not have it. It does not read the list from the beginning.
func (s Snapshot) Behind(fingerprint string) (i int, ok bool) {
	e, ok := s.table.byFingerprint[fingerprint]
	if !ok {
		return 0, false
	}
	i, ok = slices.BinarySearchFunc(s.table.list, e, byName)
	return i + 1, ok
}

// publicLine returns the key as candidates carry it: one line in OpenSSH format,
// without a comment.
func publicLine(key ssh.PublicKey) string {
	if key == nil {
		return ""
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}
