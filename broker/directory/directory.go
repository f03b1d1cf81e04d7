// Package directory knows the agents: who may serve, as the operator's
// authorized_agents file lists them, and what is known of each since the
// broker started.
//
//	authorized_agents ──▶ File ────┐
//	poll ──▶ Saw, Park ────────────┼──▶ Directory ──▶ Snapshot ──▶ scheduler
//	report ──▶ Report ─────────────┘             ├──▶ Lookup ──▶ authentication
//	                                             └──▶ Revoked ──▶ whoever serves them
//
// Its size is bounded by the file: an agent that is not listed leaves no
// trace. All state of one agent is in atomics, so readers never wait for polls.
package directory

import (
	"cmp"
	"slices"
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
	table atomic.Pointer[table]

	replacing sync.Mutex
	revoked   func(identity.Authorized) // guarded by replacing
}

// table is never changed once published; the states in it are.
type table struct {
	list   []*entry          // by name, then fingerprint
	byName map[string]*entry // by fingerprint
}

// entry is a line of the list and what is known of its agent. The state goes
// on when the line changes and the key stays.
type entry struct {
	who  identity.Authorized
	line string // who's key, as candidates carry it
	*state
}

type state struct {
	status   atomic.Pointer[api.Status]
	sealing  atomic.Pointer[binding]
	lastSeen atomic.Int64 // Unix nanoseconds; 0 is never
	parked   atomic.Int32
	polls    atomic.Uint64 // that were ever parked; the newest has this number
	broken   atomic.Uint64 // number of the last one whose connection went away
	outcomes [len(outcomes)]atomic.Int64
	gone     chan struct{} // closed once the agent is not listed any more
}

// New returns a directory of the listed agents.
func New(agents []identity.Authorized) *Directory {
	d := &Directory{}
	d.table.Store(&table{byName: map[string]*entry{}})
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

// Replace sets who is listed. Agents that stay keep their state, also under
// another name; what is known of the others is forgotten. It returns how many
// were added and removed.
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
			e = newEntry(who, &state{gone: make(chan struct{})})
		case e.who.Name != who.Name || !slices.Equal(e.who.Targets, who.Targets) || !slices.Equal(e.who.Tags, who.Tags) || !e.who.Expires.Equal(who.Expires):
			e = newEntry(who, e.state)
		}
		next.list = append(next.list, e)
		next.byName[who.Fingerprint] = e
	}
	slices.SortFunc(next.list, byName)
	d.table.Store(next)
	for _, e := range old.list {
		if _, stays := next.byName[e.who.Fingerprint]; stays {
			continue
		}
		removed++
		close(e.gone)
		if d.revoked != nil {
			d.revoked(e.who)
		}
	}
	return added, removed
}

func byName(a, b *entry) int {
	return cmp.Or(strings.Compare(a.who.Name, b.who.Name), strings.Compare(a.who.Fingerprint, b.who.Fingerprint))
}

func newEntry(who identity.Authorized, s *state) *entry {
	e := &entry{who: who, state: s}
	if who.Key != nil {
		e.line = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(who.Key)))
	}
	return e
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
