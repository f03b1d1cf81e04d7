package rendezvous

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/farforge/farforge/broker/internal/tables"
	"github.com/farforge/farforge/common/api"
)

// Config holds the times and bounds of a [Rendezvous]. Zero values mean the
// defaults.
type Config struct {
	// AnswerTimeout is how long a claim lasts. Default: api.AnswerTimeout.
	AnswerTimeout time.Duration
	// Claim is asked before each claim, if it is set: false keeps the job from the
	// agent this time. Unclaimed is told of each claim that ends without an
	// answer, before another can be made of the job. Claims of one agent or of
	// one job are asked and told of one after the other, as both are called with
	// locks held: they must be quick, and not call the Rendezvous. A claim whose
	// client has gone for good ends by its time alone, and untold.
	Claim     func(Claim) bool
	Unclaimed func(jobID, agent string)
	// Late is told of each claim that was not answered in time, if it is set. It
	// is called without locks held, before the job goes on.
	Late func(jobID, agent string)
	// Memory is how long a job is kept after its last use. Default:
	// api.JobMemory.
	Memory time.Duration
	// AnswerMemory is how long the bytes of an answer are kept once the client
	// has had them, in case that they were lost on the way. Default: 10 s.
	AnswerMemory time.Duration
	// MaxJobs bounds the jobs in memory, and MaxBytes their offers and answers.
	// Defaults: 200 000 jobs, 512 MiB. Above half of MaxJobs, jobs whose client
	// has had the answer are dropped after AnswerMemory already.
	MaxJobs  int64
	MaxBytes int64
}

func (c Config) withDefaults() Config {
	if c.AnswerTimeout <= 0 {
		c.AnswerTimeout = api.AnswerTimeout
	}
	if c.Memory <= 0 {
		c.Memory = api.JobMemory
	}
	if c.AnswerMemory <= 0 {
		c.AnswerMemory = 10 * time.Second
	}
	if c.MaxJobs <= 0 {
		c.MaxJobs = 200_000
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = 512 << 20
	}
	return c
}

// Rendezvous is a meeting point. Its methods may be called concurrently.
type Rendezvous struct {
	cfg    Config
	jobs   *tables.Sharded[*job]
	agents *tables.Sharded[*agent]
	ticket atomic.Uint64
	stats  counters

	drainOnce sync.Once
	draining  chan struct{}
	closeOnce sync.Once
	closed    chan struct{}
	swept     sync.WaitGroup
}

// New makes an empty meeting point and starts its sweeper; Close ends it.
func New(cfg Config) *Rendezvous {
	r := &Rendezvous{
		cfg:      cfg.withDefaults(),
		jobs:     tables.NewSharded[*job](),
		agents:   tables.NewSharded[*agent](),
		draining: make(chan struct{}),
		closed:   make(chan struct{}),
	}
	r.swept.Go(r.sweepLoop)
	return r
}

// Drain ends every parked poll and every waiting offer with ErrDraining, and
// refuses new ones. Offers that are claimed still get their answer. It does
// not block and may be called more than once.
func (r *Rendezvous) Drain() { r.drainOnce.Do(func() { close(r.draining) }) }

// Close drains, and stops the sweeper. Calls of Park and Offer that still run
// belong to their callers.
func (r *Rendezvous) Close() {
	r.Drain()
	r.closeOnce.Do(func() { close(r.closed) })
	r.swept.Wait()
}

func (r *Rendezvous) isDraining() bool {
	select {
	case <-r.draining:
		return true
	default:
		return false
	}
}
