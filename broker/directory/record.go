package directory

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/identity"
)

// record is one listed agent. mu guards the fields below it; view is the state that
// readers see.
type record struct {
	fingerprint string
	gone        chan struct{} // closed once the agent is not listed any more
	outcomes    [len(outcomes)]atomic.Int64
	view        atomic.Pointer[Agent] // never nil once the record is in a table

	mu       sync.Mutex
	removed  bool
	listed   *identity.Authorized
	line     string // the listed key, as candidates carry it
	status   *api.Status
	sealing  binding
	lastSeen time.Time
	parked   int    // the number of polls that are parked now
	polls    uint64 // the number of polls so far, which is the number of the newest
	broken   uint64 // the number of the last poll whose connection went away
	account  Account
	latest   time.Time // the latest time that a caller has passed
}

// binding is the sealing key of the last status, and whether the agent's own key has
// signed it.
type binding struct {
	claimed *api.SealingKey
	valid   bool
}

// change runs f with the record locked, and publishes the new state. It does nothing
// if the record was removed.
func (r *record) change(d *Directory, now time.Time, f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.removed {
		return
	}
	if now.After(r.latest) {
		r.latest = now
	}
	f()
	r.publish(d)
}

// publish shows the record's state to readers and the observer. The caller holds
// r.mu.
func (r *record) publish(d *Directory) {
	a := &Agent{
		Fingerprint: r.fingerprint, Name: r.listed.Name, PublicKey: r.line,
		Targets: r.listed.Targets, Tags: r.listed.Tags,
		Status: r.status, LastSeen: r.lastSeen, Parked: r.parked > 0,
		Vanished: r.broken != 0 && r.broken == r.polls && r.parked == 0,
		Free:     r.account.Free(), Account: r.account.Clone(),
		listed: r.listed,
	}
	if r.sealing.valid {
		a.Sealing = r.sealing.claimed
	}
	if len(a.Tags) == 0 && r.status != nil {
		a.Tags = r.status.Tags
	}
	r.view.Store(a)
	if o := d.observer.Load(); o != nil {
		(*o).Update(a, r.latest)
	}
}

// list sets the agent's line of the list. An edit takes effect at once, not only at
// the agent's next poll.
func (r *record) list(d *Directory, who identity.Authorized) {
	if last := r.view.Load(); last != nil && same(last.listed, &who) {
		return
	}
	r.change(d, time.Time{}, func() {
		r.listed, r.line = &who, publicLine(who.Key)
	})
}

// same reports whether two lines with the same key are equal.
func same(a, b *identity.Authorized) bool {
	return a.Name == b.Name && slices.Equal(a.Targets, b.Targets) && slices.Equal(a.Tags, b.Tags) && a.Expires.Equal(b.Expires)
}

// remove ends the record. Later events do not change it.
func (r *record) remove(d *Directory) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removed = true
	close(r.gone)
	if o := d.observer.Load(); o != nil {
		(*o).Remove(r.fingerprint)
	}
}

// bind sets the sealing key. It verifies the signature only if the key has changed: a
// poll that repeats the key costs a comparison.
func (r *record) bind(key *api.SealingKey) error {
	switch {
	case key == nil:
		r.sealing = binding{}
		return nil
	case r.sealing.claimed != nil && *r.sealing.claimed == *key:
		return nil
	}
	err := envelope.CheckBinding(r.listed.Key, key)
	r.sealing = binding{key, err == nil}
	return err
}

// Update sets the status of an agent, which was seen just now. The directory keeps s:
// the caller does not change it. An agent that is not listed is ignored. An error
// says that the agent has not signed its sealing key; it is returned once for each
// new key, and everything else of the status counts.
func (d *Directory) Update(fingerprint string, s *api.Status, now time.Time) (err error) {
	e, ok := d.table.Load().byFingerprint[fingerprint]
	if !ok {
		return nil
	}
	r := e.record
	r.change(d, now, func() {
		err = r.bind(s.Sealing)
		r.status, r.lastSeen = s, now
		d.healed.Add(int64(r.account.Status(
			capacity.Capacity{Cores: s.TotalCores, MemoryMB: s.TotalMemMB},
			capacity.Capacity{Cores: s.FreeCores, MemoryMB: s.FreeMemMB}, s.RunningJobs, s.EndedJobs, now)))
	})
	return err
}

// Poll is a parked poll of a listed agent. End ends it and is called once.
type Poll struct {
	d      *Directory
	r      *record
	number uint64
}

// Park records that a poll of the agent is parked, until End. ok is false if the agent
// is not listed.
func (d *Directory) Park(fingerprint string) (p Poll, ok bool) {
	e, ok := d.table.Load().byFingerprint[fingerprint]
	if !ok {
		return Poll{}, false
	}
	r := e.record
	r.change(d, time.Time{}, func() {
		r.polls++
		r.parked++
		p = Poll{d, r, r.polls}
	})
	return p, p.r != nil
}

// Gone is closed when the agent is removed from the list.
func (p Poll) Gone() <-chan struct{} { return p.r.gone }

// Break records that the poll's connection broke, before or after End. If it is the
// agent's newest poll, the agent has vanished until it parks another one. An older
// poll is ignored: the agent itself has replaced it.
func (p Poll) Break() {
	p.r.change(p.d, time.Time{}, func() {
		if p.r.polls == p.number {
			p.r.broken = p.number
		}
	})
}

// End records that the poll is not parked any more, and that the agent was seen just
// now.
func (p Poll) End(now time.Time) {
	p.r.change(p.d, now, func() {
		p.r.lastSeen = now
		p.r.parked--
	})
}

// outcomes are the indices of the counters.
var outcomes = [...]api.Outcome{
	api.OutcomeSucceeded, api.OutcomeBuildFailed, api.OutcomeCanceled, api.OutcomeTimedOut,
	api.OutcomeRefused, api.OutcomeLost, api.OutcomeAgentFailed,
}

// Report counts an outcome of a job on the agent.
func (d *Directory) Report(fingerprint string, outcome api.Outcome) {
	e, ok := d.table.Load().byFingerprint[fingerprint]
	if i := slices.Index(outcomes[:], outcome); ok && i >= 0 {
		e.outcomes[i].Add(1)
	}
}

// Outcomes returns the agent's counts since the broker's start, without zeros.
func (d *Directory) Outcomes(fingerprint string) map[api.Outcome]int64 {
	counts := map[api.Outcome]int64{}
	if e, ok := d.table.Load().byFingerprint[fingerprint]; ok {
		for i, o := range outcomes {
			if n := e.outcomes[i].Load(); n > 0 {
				counts[o] = n
			}
		}
	}
	return counts
}
