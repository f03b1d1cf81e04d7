package jobs

import (
	"net/netip"
	"sync"
	"time"

	"github.com/farforge/farforge/broker/internal/tables"
	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/broker/rendezvous"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
)

// Board has the records of all jobs of one broker. Its methods may be called
// concurrently.
type Board struct {
	cfg     Config
	now     func() time.Time
	farm    *farm
	meet    *rendezvous.Rendezvous[*Claim]
	signer  signer
	network network
	opinion opinions
	metrics *metrics
	stats   counters
	jobs    records

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
		cfg: cfg, now: cfg.Now, signer: signer{now: cfg.Now}, network: newNetwork(), opinion: newOpinions(),
		jobs: records{most: cfg.MaxJobs, table: tables.NewSharded[*Job]()}, closed: make(chan struct{}),
	}
	b.UseKeys(cfg.Signer, cfg.Keys)
	b.metrics = newMetrics(b)
	b.farm = newFarm(&cfg, b.metrics)
	if err := b.farm.recall(); err != nil {
		return nil, err
	}
	b.meet = rendezvous.New[*Claim](rendezvous.Config{Free: b.farm.free, Memory: cfg.Memory})
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
		b.farm.learn(n.lesson)
	}
	if n.leave {
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

func (b *Board) sweep(now time.Time) {
	b.jobs.sweep(now, b.follow)
	b.meet.Sweep(now)
}

// iceServers returns the ICE servers for the peers of a job whose client is at
// from. The credentials last through the longest queue and the session after it,
// because a TURN server checks them at each refresh, and a client gets them before
// it waits in line. Clients without a token are one user, and each network of
// theirs is one owner.
func (b *Board) iceServers(g *grant.Grant, from netip.Addr) []api.ICEServer {
	if b.cfg.Relay == nil {
		return b.cfg.ICEServers
	}
	owner := g.Subject
	if owner == users.Anyone {
		owner += " " + quota.Network(from).String()
	}
	return append(b.cfg.Relay.ICEServers(g.JobID, owner, sessionOf(g)+maxQueued), b.cfg.ICEServers...)
}
