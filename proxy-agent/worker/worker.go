// Package worker is the life of an agent: it enrolls with a broker, keeps a poll
// waiting there, serves the jobs that it gets, and leaves without dropping any.
//
//	enroll ─▶ poll ◀──────────────┐         one file each:
//	           │ 204: again       │           auth.go    session tokens
//	           │ job ──▶ serve ──▶│           poll.go    the poll loop
//	           │          │       │           job.go     one job, beside others
//	           │          └▶ report           report.go  the signed report
//	           │                  │           reservations.go  cores, memory, slots
//	        drain: last poll says so, jobs end, Run returns
//
// A poll carries the agent's status and is its heartbeat. Whenever the status
// changes, for example because a job has begun or ended, the agent sends a fresh
// poll at once; the broker then ends the older one with 204. So at most two polls
// are under way.
package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/signaling"
	"github.com/farforge/farforge/proxy-agent/session"
)

// Config configures a worker. Every field is needed unless its comment says
// otherwise.
type Config struct {
	Broker *signaling.Client
	Key    *identity.Key
	// Line is the key's line in the broker's list of agents.
	Line string
	// Host makes the host that serves jobs, once the broker's keys are known.
	Host func(keys *grant.KeySet) (*session.Host, error)
	// Keys returns the keys that verify grants.
	Keys func(context.Context) (*grant.KeySet, error)
	// Sealing is the key that clients seal their offers to.
	Sealing *api.SealingKey
	// Offer returns what the agent can build. After a change, call Changed.
	Offer func() ([]api.Capability, []api.Recipe)
	// Tags are what clients can ask for besides targets and toolchains.
	Tags []string
	// Warm returns the projects whose caches are kept here.
	Warm func() []string
	// Capacity is for all jobs together, MaxJobs how many run at a time.
	Capacity capacity.Capacity
	MaxJobs  int
	Version  string
	// SoftLimits reports that no control groups enforce the limits of builds.
	SoftLimits bool
	// DiskLow returns an error while the disk is too full for another job; nil
	// disables the check.
	DiskLow func() error
	// ProbeNAT finds out what NAT the agent is behind; nil disables it.
	ProbeNAT func(context.Context) (string, error)
	Logger   *slog.Logger
}

// Worker is one agent. Make it with New and call Run once.
type Worker struct {
	Config
	host         *session.Host
	auth         *auth
	reservations *reservations
	nat          atomic.Pointer[string] // nil: not known yet
	jobs         sync.WaitGroup         // and their reports
}

// New returns a worker.
func New(cfg Config) *Worker {
	return &Worker{
		Config:       cfg,
		auth:         &auth{broker: cfg.Broker, key: cfg.Key, log: cfg.Logger},
		reservations: newReservations(cfg.Capacity, cfg.MaxJobs),
	}
}

// Run serves jobs until drain is closed and the running jobs have ended; then it
// returns nil. When ctx ends first, Run stops the jobs, reports that to their
// clients and the broker, and returns the context's error.
//
// Run waits for a broker that cannot be reached, and for one that does not list the
// agent yet. Any other refusal at the start is an error: an *api.Problem, or a
// *session.KeyChange.
func (w *Worker) Run(ctx context.Context, drain <-chan struct{}) error {
	defer w.jobs.Wait()
	err := w.enroll(ctx, drain)
	switch {
	case errors.Is(err, errDrained):
		return nil
	case err != nil:
		return err
	}
	watching, unwatch := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { w.watchNAT(watching) })
	watch.Go(func() { w.watchDisk(watching) })
	err = w.poll(ctx, drain)
	unwatch()
	watch.Wait()
	w.jobs.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Changed sends a fresh poll, because what Offer returns has changed.
func (w *Worker) Changed() { w.reservations.notify() }

// enroll opens the first session and pins the broker's keys.
func (w *Worker) enroll(ctx context.Context, drain <-chan struct{}) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-drain:
			cancel(errDrained)
		case <-stop:
		}
	}()
	retry := signaling.Backoff{Base: time.Second, Max: 15 * time.Second}
	for {
		err := insist(ctx, w.Logger, "enroll", func() error {
			if _, err := w.auth.token(ctx); err != nil {
				return err
			}
			keys, err := w.Keys(ctx)
			if err != nil {
				return err
			}
			w.host, err = w.Host(keys)
			return err
		})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !unlisted(err) {
			return err
		}
		pause := retry.Next(err)
		w.Logger.Error("the broker does not list this agent: its operator must add the line to the authorized agents",
			"line", w.Line, "retry_in", pause.Round(time.Millisecond), "error", err)
		if signaling.Sleep(ctx, pause) != nil {
			return context.Cause(ctx)
		}
	}
}

// errDrained ends an enrollment when the agent drains.
var errDrained = errors.New("the agent is draining")

// insist repeats try while its error may be temporary. It logs the first one.
func insist(ctx context.Context, log *slog.Logger, what string, try func() error) error {
	var backoff signaling.Backoff
	said := false
	for {
		err := try()
		if err == nil || ctx.Err() != nil || !signaling.Retryable(err) {
			return err
		}
		if !said {
			log.Warn("the broker does not answer; retrying", "what", what, "error", err)
			said = true
		}
		if err := signaling.Sleep(ctx, backoff.Next(err)); err != nil {
			return err
		}
	}
}
