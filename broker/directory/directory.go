// Package directory knows the agents: who may serve, as the operator's
// authorized_agents file lists them, and what is known of each since the
// broker started.
//
//	authorized_agents ──▶ Replace ─┐
//	poll ──▶ Saw, Park ────────────┼──▶ Directory ──▶ Snapshot ──▶ scheduler
//	report ──▶ Report ─────────────┘             └──▶ Lookup ──▶ authentication
//
// Its size is bounded by the file: an agent that is not listed leaves no
// trace. All state of one agent is in atomics, so readers never wait for polls.
package directory

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// Directory is safe for concurrent use.
type Directory struct {
	replacing sync.Mutex
	table     atomic.Pointer[table]
}

// table is never changed once published; its entries are.
type table struct {
	list   []*entry
	byName map[string]*entry // by fingerprint
}

type entry struct {
	who      identity.Authorized
	line     string // who's key, as candidates carry it
	status   atomic.Pointer[api.Status]
	sealing  atomic.Pointer[binding]
	lastSeen atomic.Int64 // Unix nanoseconds; 0 is never
	parked   atomic.Int32
	outcomes [len(outcomes)]atomic.Int64
}

// New returns a directory of the listed agents.
func New(agents []identity.Authorized) *Directory {
	d := &Directory{}
	d.table.Store(&table{byName: map[string]*entry{}})
	d.Replace(agents)
	return d
}

// Replace sets who is listed. Agents that stay keep their state; what is known
// of the others is forgotten. It returns how many were added and removed.
func (d *Directory) Replace(agents []identity.Authorized) (added, removed int) {
	d.replacing.Lock()
	defer d.replacing.Unlock()
	old := d.table.Load()
	next := &table{byName: make(map[string]*entry, len(agents))}
	for _, who := range agents {
		e := old.byName[who.Fingerprint]
		switch {
		case e == nil:
			added++
			e = newEntry(who)
		case e.who.Name != who.Name: // renamed: readers hold the old entry
			e = e.renamed(who)
		}
		next.list = append(next.list, e)
		next.byName[who.Fingerprint] = e
	}
	d.table.Store(next)
	return added, len(old.list) - (len(next.list) - added)
}

func newEntry(who identity.Authorized) *entry {
	e := &entry{who: who}
	if who.Key != nil {
		e.line = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(who.Key)))
	}
	return e
}

// renamed returns a copy with another name. Polls that are parked meanwhile
// are counted again as soon as they are renewed.
func (e *entry) renamed(who identity.Authorized) *entry {
	n := newEntry(who)
	n.status.Store(e.status.Load())
	n.sealing.Store(e.sealing.Load())
	n.lastSeen.Store(e.lastSeen.Load())
	for i := range n.outcomes {
		n.outcomes[i].Store(e.outcomes[i].Load())
	}
	return n
}

// Lookup returns the listed agent with the fingerprint.
func (d *Directory) Lookup(fingerprint string) (identity.Authorized, bool) {
	e, ok := d.table.Load().byName[fingerprint]
	if !ok {
		return identity.Authorized{}, false
	}
	return e.who, true
}

// Saw records a sign of life and what the agent says of itself. The directory
// keeps status: the caller does not change it. Agents that are not listed are
// passed over. An error tells, once a change, that the agent's sealing key is
// not its own; the agent then has none, and the rest is recorded all the same.
func (d *Directory) Saw(fingerprint string, status *api.Status, now time.Time) error {
	e, ok := d.table.Load().byName[fingerprint]
	if !ok {
		return nil
	}
	err := e.bind(status.Sealing)
	e.status.Store(status)
	e.lastSeen.Store(now.UnixNano())
	return err
}

// Park records that a poll of the agent is parked until unpark is called,
// once.
func (d *Directory) Park(fingerprint string) (unpark func(now time.Time)) {
	e, ok := d.table.Load().byName[fingerprint]
	if !ok {
		return func(time.Time) {}
	}
	e.parked.Add(1)
	return func(now time.Time) {
		e.lastSeen.Store(now.UnixNano())
		e.parked.Add(-1)
	}
}
