// Package directory knows the agents: who may serve, as the operator's
// authorized_agents file lists them, which of them are here, and what each of
// them has promised to jobs.
//
//	authorized_agents ──▶ File ──▶ Replace ──┐             ┌──▶ Lookup ──▶ authentication
//	poll ──▶ Update, Park, End, Break ───────┼──▶ record ──┼──▶ Agent, Snapshot ──▶ lists, errors
//	claim ──▶ Reserve, Drop ─────────────────┤             └──▶ Observer ──▶ scheduler
//	answer, report ──▶ Answer, Release ──────┘
//
// Each listed agent has one record, and each record one lock. Whatever happens to
// an agent changes its record under that lock, and publishes what is known of the
// agent from then on as a new [Agent], which nobody changes any more. Readers
// load it and never wait; the changes of two agents never wait for each other.
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
	// healed and expired count reservations that nobody ended; see Totals.
	healed, expired atomic.Int64

	replacing sync.Mutex
	revoked   func(identity.Authorized) // guarded by replacing
}

// Observer learns of every change, in the order in which the changes of one agent
// happen. Its methods run while that agent's record is locked: they are quick,
// and do not call the directory.
type Observer interface {
	// Update hands over what is known of a listed agent from now on. Nobody
	// changes it any more.
	Update(a *Agent, now time.Time)
	// Remove ends the agent: it is not listed any more.
	Remove(fingerprint string)
}

// table is the list at one time. It is never changed once published; the records
// in it are.
type table struct {
	list          []entry // by name, then fingerprint
	byFingerprint map[string]entry
}

// entry is a record under the name that it has in this table.
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

// OnRevoked sets what is called for every agent that is taken off the list,
// after Lookup does not find it any more. It must be quick, and not call
// Replace.
func (d *Directory) OnRevoked(f func(identity.Authorized)) {
	d.replacing.Lock()
	defer d.replacing.Unlock()
	d.revoked = f
}

// Observe sets the observer, which learns at once of all agents that are listed.
// There is one; it is set before the directory is used by several goroutines.
func (d *Directory) Observe(o Observer) {
	d.observer.Store(&o)
	for _, e := range d.table.Load().list {
		e.change(d, time.Time{}, func() {})
	}
}

// Replace sets who is listed. Agents that stay keep their records, also under
// another name; what is known of the others is forgotten. It returns how many
// were added and removed.
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

// Agent returns what is known of one listed agent.
func (d *Directory) Agent(fingerprint string) (Agent, bool) {
	e, ok := d.table.Load().byFingerprint[fingerprint]
	if !ok {
		return Agent{}, false
	}
	return *e.view.Load(), true
}

// Snapshot is a list of agents, in the order of their names, to read by index.
// The list is fixed; each agent is read when At is called, so that a reader who
// stops early has copied nothing in vain.
type Snapshot struct{ table *table }

// Snapshot returns the agents that are listed now.
func (d *Directory) Snapshot() Snapshot { return Snapshot{d.table.Load()} }

// Len returns the number of listed agents.
func (s Snapshot) Len() int { return len(s.table.list) }

// At returns agent i, 0 ≤ i < Len().
func (s Snapshot) At(i int) Agent { return *s.table.list[i].view.Load() }

// Behind returns the index behind the agent with the fingerprint, or false if
// that is not in the list. It does not read the list from the beginning.
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
