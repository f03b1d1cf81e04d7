package jobs

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/farforge/farforge/broker/internal/tables"
	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/broker/rendezvous"
	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
)

// Board has the records of all jobs of one broker. Its methods may be called
// concurrently.
type Board struct {
	cfg     Config
	now     func() time.Time
	started time.Time
	farm    *scheduler.Farm
	meet    *rendezvous.Rendezvous[*Claim]
	keys    atomic.Pointer[keys]
	network network
	opinion opinions
	metrics *metrics
	stats   counters

	jobs *tables.Sharded[*Job]
	// newest are the records that were made last, guarded by the lock of their
	// part of jobs.
	newest [tables.Shards]ring

	closeOnce sync.Once
	closed    chan struct{}
	running   sync.WaitGroup
}

// New returns a board with the history of its agents, and starts its sweeper;
// Close ends it.
func New(cfg Config) (*Board, error) {
	if err := cfg.SetDefaults(); err != nil {
		return nil, err
	}
	b := &Board{
		cfg: cfg, now: cfg.Now, started: cfg.Now(),
		farm: newFarm(&cfg), network: newNetwork(), opinion: newOpinions(),
		jobs: tables.NewSharded[*Job](), closed: make(chan struct{}),
	}
	b.UseKeys(cfg.Signer, cfg.Keys)
	if err := b.recall(); err != nil {
		return nil, err
	}
	b.meet = rendezvous.New[*Claim](rendezvous.Config{Free: b.free, Memory: cfg.Memory})
	b.metrics = newMetrics(b)
	cfg.Directory.OnRevoked(b.revoke)
	b.running.Go(b.sweepUntilClosed)
	return b, nil
}

// Drain ends every parked poll, every waiting offer and every wait for events, and
// refuses new ones. Offers that are claimed still get their answer. It does not
// block and may be called more than once.
func (b *Board) Drain() { b.meet.Drain() }

// Draining reports whether Drain was called.
func (b *Board) Draining() bool {
	select {
	case <-b.meet.Draining():
		return true
	default:
		return false
	}
}

// Close drains and ends the sweeper. Calls that still run belong to their callers.
func (b *Board) Close() {
	b.Drain()
	b.closeOnce.Do(func() { close(b.closed) })
	b.running.Wait()
}

func (b *Board) isClosed() bool {
	select {
	case <-b.closed:
		return true
	default:
		return false
	}
}

// next is what the board does after an event, once the record is unlocked.
type next struct {
	dispatch bool    // the job waits: match it with its candidates
	leave    bool    // no agent can claim the job any more: take it out of the lines
	rematch  string  // this agent has room again
	lesson   *lesson // the scheduler learns this
	ending   *ending // the job's line in the log
}

func (b *Board) follow(j *Job, n next) {
	if n.lesson != nil {
		b.learn(n.lesson)
	}
	if n.leave && j.wasQueued() {
		b.meet.Leave(&j.entry)
	}
	if n.dispatch {
		b.meet.Dispatch(&j.entry)
	}
	if n.rematch != "" {
		b.meet.Rematch(n.rematch)
	}
	if n.ending != nil {
		b.log(n.ending)
	}
}

func (j *Job) wasQueued() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.queued
}

// find returns the record of a job that is known.
func (b *Board) find(jobID string) (*Job, error) {
	if j, ok := b.jobs.Get(jobID); ok {
		return j, nil
	}
	return nil, ErrUnknownJob
}

// open returns the record of the grant's job. It makes the record of a job that
// was granted before a restart of the broker, or a while ago.
func (b *Board) open(t Ticket) (*Job, error) {
	p := b.jobs.Of(t.Grant.JobID)
	p.Lock()
	j := p.Entries[t.Grant.JobID]
	if j != nil {
		j.mu.Lock() // under the part's lock, so that it is not being swept
		defer j.mu.Unlock()
	}
	p.Unlock()
	if j != nil && j.ticket.Grant != nil {
		return j, nil
	}
	need, err := needOf(t.Grant)
	if err != nil {
		return nil, err
	}
	if j != nil {
		j.grant(t, need, j.from)
		return j, nil
	}
	j = newJob(b, t.Grant.JobID, b.now())
	j.grant(t, need, j.from)
	return b.add(j)
}

// add returns the record of the job's id, which is j if there was none.
func (b *Board) add(j *Job) (*Job, error) {
	i := b.jobs.Index(j.id)
	p := b.jobs.Part(i)
	p.Lock()
	defer p.Unlock()
	if old := p.Entries[j.id]; old != nil {
		return old, nil
	}
	if b.stats.jobs.Load() >= b.cfg.MaxJobs {
		return nil, ErrFull
	}
	if old := b.newest[i].add(j); old != nil && old.retire() {
		delete(p.Entries, old.id)
		b.stats.jobs.Add(-1)
	}
	b.stats.jobs.Add(1)
	p.Entries[j.id] = j
	return j, nil
}

// ring has the last records of one part. There are about 16 000 in all: a broker
// that is flooded with requests for grants forgets the oldest ones that were not
// offered, which their signed grants bring back, and older explanations.
type ring struct {
	jobs [256]*Job
	n    int
}

// add returns the record that falls out.
func (r *ring) add(j *Job) (old *Job) {
	at := &r.jobs[r.n%len(r.jobs)]
	old, *at = *at, j
	r.n++
	return old
}

// retire drops the explanation, and reports whether the record was never offered
// and is forgotten.
func (j *Job) retire() (gone bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.choice = nil
	if !j.is(granted) || j.watchers > 0 {
		return false
	}
	j.board.stats.mail.Add(-j.mail.clear())
	j.set(forgotten)
	return true
}

func (b *Board) sweepUntilClosed() {
	tick := time.NewTicker(max(min(b.cfg.Memory, b.cfg.AnswerMemory)/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-b.closed:
			return
		case <-tick.C:
			b.sweep(b.now())
		}
	}
}

// sweep forgets the records that are out of use.
func (b *Board) sweep(now time.Time) {
	type end struct {
		j *Job
		n next
	}
	var ends []end
	for i := range tables.Shards {
		p := b.jobs.Part(i)
		p.Lock()
		crowded := b.stats.jobs.Load() > b.cfg.MaxJobs/2
		for id, j := range p.Entries {
			if n, gone := j.forget(now, crowded); gone {
				delete(p.Entries, id)
				b.stats.jobs.Add(-1)
				ends = append(ends, end{j, n})
			}
		}
		p.Unlock()
		for _, e := range ends {
			b.follow(e.j, e.n)
		}
		ends = ends[:0]
	}
	b.meet.Sweep(now)
}

// anyAlive reports whether one of the agents may still claim its job. Just after
// the start the broker has seen no agent yet, and every agent may.
func (b *Board) anyAlive(agents []string) bool {
	now := b.now()
	if now.Sub(b.started) < b.cfg.AgentGrace {
		return true
	}
	for _, id := range agents {
		if a, ok := b.cfg.Directory.Agent(id); ok && a.Alive(now, b.cfg.AgentGrace) {
			return true
		}
	}
	return false
}

// iceServers are the ICE servers for the peers of a job whose client is at from.
// Credentials outlive the session a little, because a TURN server asks for them
// again and again. Clients without a token are one user, and each network of
// theirs is one owner.
func (b *Board) iceServers(g *grant.Grant, from netip.Addr) []api.ICEServer {
	if b.cfg.Relay == nil {
		return b.cfg.ICEServers
	}
	owner := g.Subject
	if owner == users.Anyone {
		owner += " " + quota.Network(from).String()
	}
	return append(b.cfg.Relay.ICEServers(g.JobID, owner, sessionOf(g)+10*time.Minute), b.cfg.ICEServers...)
}
