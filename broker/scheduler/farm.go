package scheduler

import (
	"crypto/hmac"
	"crypto/sha256"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/internal/tables"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/nat"
)

// Farm holds all agents of a broker for the scheduler. It observes the directory,
// which owns the record of each agent, and adds the estimates learned from results
// and an index to choose from. It is safe for concurrent use.
//
//	directory ──▶ Update ──▶ member.facts ───┐
//	result ──▶ Learn ──┬───▶ member.skill ───┼──▶ Choose, Expect, Start, Info
//	                   └───▶ beliefs ────────┘
//
// Facts, skills and beliefs are immutable once published: an event replaces them. A
// choice reads the published values and takes no lock; a poll or a claim takes
// only the lock of its own agent.
type Farm struct {
	members  *tables.Sharded[*member] // by fingerprint
	names    *tables.Sharded[*member] // by name
	classes  atomic.Pointer[[]*class]
	beliefs  atomic.Pointer[beliefs]
	projects sync.Map  // of *project, by key
	choices  sync.Pool // of *choice
	macs     sync.Pool // of *mac

	learning sync.Mutex // held while a result is learned
	known    int        // projects; guarded by learning
}

// member is one agent.
type member struct {
	fingerprint string
	salt        uint64
	facts       atomic.Pointer[facts] // nil: it has not polled yet, or is not listed any more
	skill       atomic.Pointer[skill] // never nil
	waiting     atomic.Int64          // jobs in its line, in units of 1/share

	mu   sync.Mutex
	seat seat // guarded by mu
}

// share is one waiting job, which is divided among the lines of its candidates. 840
// is divisible by every number up to 8.
const share = 840 << 10

// facts is the state of an agent at one moment, immutable once published. The
// fields that are read for every candidate are next to each other.
type facts struct {
	class  *class
	parked bool
	// away reports whether it has vanished or is draining.
	away        bool
	announces   bool  // whether its status lists warm projects
	seen        int64 // Unix nanoseconds
	free, total capacity.Capacity
	held        []directory.Reservation
	warm        []uint64 // the projects that its status lists as warm
	nat         nat.NAT
	*directory.Agent
}

func factsOf(a *directory.Agent) *facts {
	return &facts{
		Agent: a, parked: a.Parked, away: a.Vanished || a.Status.Draining, seen: a.LastSeen.UnixNano(),
		free: a.Free, total: a.Total(), held: a.Account.Held(),
	}
}

// NewFarm returns a farm without agents. key is the key of its project hashes; the
// same key makes the same hashes.
func NewFarm(key []byte) *Farm {
	f := &Farm{members: tables.NewSharded[*member](), names: tables.NewSharded[*member]()}
	f.classes.Store(&[]*class{})
	f.beliefs.Store(&beliefs{})
	f.choices.New = func() any { return newChoice() }
	f.macs.New = func() any { return &mac{Hash: hmac.New(sha256.New, key)} }
	return f
}

// Update implements [directory.Observer].
func (f *Farm) Update(a *directory.Agent, now time.Time) {
	if a.Status == nil {
		return
	}
	m := f.memberOf(a.Fingerprint)
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.facts.Load()
	next := factsOf(a)
	switch {
	case old != nil && old.Status == a.Status:
		next.nat, next.warm, next.announces = old.nat, old.warm, old.announces
	default:
		next.nat, next.announces = nat.Parse(a.Status.NAT), a.Status.Warm != nil
		if old != nil && slices.Equal(old.Status.Warm, a.Status.Warm) {
			next.warm = old.warm
			break
		}
		for _, w := range a.Status.Warm {
			next.warm = append(next.warm, f.ProjectKey(w))
		}
	}
	if old == nil || old.Name != a.Name {
		f.rename(m, old, a.Name)
	}
	if old != nil && alike(old, next) {
		next.class = old.class
		m.facts.Store(next)
		m.reseat(now.UnixNano())
		return
	}
	next.class = f.join(next)
	m.facts.Store(next)
	m.reseat(now.UnixNano())
	if old != nil {
		f.quit(old.class)
	}
}

// Remove implements [directory.Observer]. It forgets the estimates about the agent.
func (f *Farm) Remove(fingerprint string) {
	p := f.members.Of(fingerprint)
	p.Lock()
	m := p.Entries[fingerprint]
	delete(p.Entries, fingerprint)
	p.Unlock()
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.facts.Swap(nil); old != nil {
		f.rename(m, old, "")
		m.reseat(0)
		f.quit(old.class)
	}
}

// rename lists the member under its new name, if it has one. The caller holds
// m.mu.
func (f *Farm) rename(m *member, old *facts, name string) {
	if old != nil {
		p := f.names.Of(old.Name)
		p.Lock()
		if p.Entries[old.Name] == m {
			delete(p.Entries, old.Name)
		}
		p.Unlock()
	}
	if name != "" {
		p := f.names.Of(name)
		p.Lock()
		p.Entries[name] = m
		p.Unlock()
	}
}

// member returns the agent, or nil if it is unknown.
func (f *Farm) member(fingerprint string) *member {
	m, _ := f.members.Get(fingerprint)
	return m
}

// memberOf returns the agent, and adds an unknown one.
func (f *Farm) memberOf(fingerprint string) *member {
	p := f.members.Of(fingerprint)
	p.Lock()
	defer p.Unlock()
	m := p.Entries[fingerprint]
	if m == nil {
		m = &member{fingerprint: fingerprint, salt: fnv(fingerprint)}
		m.skill.Store(&skill{})
		p.Entries[fingerprint] = m
	}
	return m
}

// Queue adds a waiting job to the lines of its candidates (jobs = 1) or removes it
// (jobs = −1). With n candidates it counts as 1/n in each line.
func (f *Farm) Queue(candidates []string, jobs int) {
	for _, id := range candidates {
		if m := f.member(id); m != nil {
			m.waiting.Add(int64(jobs) * int64(share/len(candidates)))
		}
	}
}

// line returns the number of jobs in the agent's line; see Queue.
func (m *member) line() float64 { return float64(max(m.waiting.Load(), 0)) / share }

// Resting counts the agents that get no jobs after failures. It reads every agent.
func (f *Farm) Resting(now time.Time) (n int) {
	for i := range tables.Shards {
		p := f.members.Part(i)
		p.Lock()
		for _, m := range p.Entries {
			if a := m.facts.Load(); a != nil && m.resting(a, now.UnixNano()) {
				n++
			}
		}
		p.Unlock()
	}
	return n
}

func (m *member) resting(a *facts, now int64) bool {
	return m.skill.Load().rel.resting(m.salt, len(a.held), now)
}
