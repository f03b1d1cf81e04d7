package rendezvous

import (
	"container/list"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/farforge/farforge/broker/internal/tables"
	"github.com/farforge/farforge/common/capacity"
)

// Job is a job that can stand in lines. Its owner guards its state; all methods
// may be called concurrently.
type Job[C Claim] interface {
	// Waiting reports whether the job waits for a claim. It takes no lock.
	Waiting() bool
	// Counts reports whether the job counts in the places of the jobs behind it.
	Counts(now time.Time) bool
	// Enter reports whether the job may enter the line of its candidate i, which
	// happens before the agent's mutex is released.
	Enter(i int) bool
	// Claim gives the job to its candidate i.
	Claim(i int) (C, Result)
}

// Claim is a job in the hands of the agent that claimed it.
type Claim interface {
	// HandBack ends a claim that did not reach its agent.
	HandBack()
}

// Result is the result of an attempt to claim a job.
type Result int

// The results.
const (
	Claimed Result = iota
	// Unavailable jobs are claimed by another agent, over, or not for this one.
	Unavailable
	// Full agents have less room than the job needs.
	Full
)

// Entry is a job's standing with its candidates. Its owner fills in the exported
// fields before the first Dispatch and does not change them afterwards.
type Entry[C Claim] struct {
	Job Job[C]
	// User owns the job: lines are fair between users.
	User string
	// Need is the free capacity that the job requires.
	Need capacity.Capacity
	// Candidates are the agents that may claim the job, best first.
	Candidates []string

	ticket uint64 // order among its user's jobs in every line
	// places[i] is the job's place in the line of Candidates[i], guarded by the
	// agent's mutex.
	places []*list.Element
}

// Config configures a [Rendezvous].
type Config struct {
	// Free returns the agent's free capacity. It is called with the agent's
	// mutex held.
	Free func(agent string) capacity.Capacity
	// Memory is how long an agent without jobs is kept after its last poll.
	Memory time.Duration
}

// Rendezvous is a meeting point. Its methods may be called concurrently.
type Rendezvous[C Claim] struct {
	cfg    Config
	agents *tables.Sharded[*agent[C]]
	ticket atomic.Uint64
	stats  struct{ parked, agents, queued, superseded atomic.Int64 }

	drainOnce sync.Once
	draining  chan struct{}
}

// The errors of Park, besides the cause of a canceled context.
var (
	// ErrDraining: the broker is shutting down.
	ErrDraining = errors.New("the broker is shutting down")
	// ErrSuperseded: newer polls of the same agent end this one again and again.
	ErrSuperseded = errors.New("newer polls of this agent end its older ones again and again")
	// ErrGone: the agent was revoked.
	ErrGone = errors.New("the agent was revoked")
)

// New returns an empty meeting point. It starts no goroutine; its owner calls
// [Rendezvous.Sweep] now and then.
func New[C Claim](cfg Config) *Rendezvous[C] {
	return &Rendezvous[C]{cfg: cfg, agents: tables.NewSharded[*agent[C]](), draining: make(chan struct{})}
}

// Drain ends every parked poll with ErrDraining and refuses new ones. It does not
// block and may be called more than once.
func (r *Rendezvous[C]) Drain() { r.drainOnce.Do(func() { close(r.draining) }) }

// Draining is closed by Drain.
func (r *Rendezvous[C]) Draining() <-chan struct{} { return r.draining }

// Stats is a momentary count; its fields are not taken at one instant.
type Stats struct {
	// Parked polls are blocked now, Agents are in memory, and Queued are places
	// in agents' lines.
	Parked, Agents, Queued int64
	// Superseded polls were ended by a newer one of the same agent.
	Superseded int64
}

// Stats returns the counts.
func (r *Rendezvous[C]) Stats() Stats {
	s := &r.stats
	return Stats{Parked: s.parked.Load(), Agents: s.agents.Load(), Queued: s.queued.Load(), Superseded: s.superseded.Load()}
}

// agent is one agent's side of the meeting point: its parked poll, if any, and
// the line of jobs that it may claim.
type agent[C Claim] struct {
	id string

	mu       sync.Mutex
	swept    bool // out of the table; look it up again
	slot     *slot[C]
	line     line[C]
	lastUsed time.Time
	// superseded polls since counting began; see stormRate.
	superseded int
	counting   time.Time
}

// lock returns the agent with its mutex held, or nil if it is unknown and create
// is false.
func (r *Rendezvous[C]) lock(id string, create bool) *agent[C] {
	p := r.agents.Of(id)
	for {
		p.Lock()
		a := p.Entries[id]
		if a == nil && create {
			a = &agent[C]{id: id}
			p.Entries[id] = a
			r.stats.agents.Add(1)
		}
		p.Unlock()
		if a == nil {
			return nil
		}
		a.mu.Lock()
		if !a.swept {
			return a
		}
		a.mu.Unlock()
	}
}

// Sweep forgets the agents that have no poll and no jobs.
func (r *Rendezvous[C]) Sweep(now time.Time) {
	for i := range tables.Shards {
		p := r.agents.Part(i)
		p.Lock()
		for id, a := range p.Entries {
			a.mu.Lock()
			if a.slot == nil && a.line.jobs == 0 && now.Sub(a.lastUsed) > r.cfg.Memory {
				a.swept = true
				delete(p.Entries, id)
				r.stats.agents.Add(-1)
			}
			a.mu.Unlock()
		}
		p.Unlock()
	}
}
