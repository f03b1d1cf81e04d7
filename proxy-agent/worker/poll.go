package worker

import (
	"context"
	"sync"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/signaling"
)

// lastPoll is how long a draining agent waits for its older poll to end.
const lastPoll = time.Second

// polled is the result of one poll.
type polled struct {
	number int
	job    *api.Job
	err    error
}

// poll keeps a poll waiting at the broker and starts the jobs that it returns,
// until drain is closed or ctx ends. An agent that the operator has taken off the
// list retries at growing intervals while its jobs end.
func (w *Worker) poll(ctx context.Context, drain <-chan struct{}) error {
	polls, cancel := context.WithCancel(ctx) // jobs outlive the polls
	var under sync.WaitGroup
	defer under.Wait()
	defer cancel()

	results := make(chan polled)
	newest, waiting := 0, 0
	send := func(draining bool) {
		select {
		case <-w.reservations.changed: // this poll carries the change
		default:
		}
		newest++
		waiting++
		number, status := newest, w.status(draining)
		under.Go(func() {
			p := polled{number: number}
			p.err = w.auth.with(polls, func(session string) error {
				got, err := w.Broker.Poll(polls, session, status)
				p.job = got.Job
				w.auth.renew(session, got.Session)
				return err
			})
			select {
			case results <- p:
			case <-polls.Done():
			}
		})
	}

	var backoff signaling.Backoff
	unlisted := signaling.Backoff{Base: time.Second, Max: 2 * time.Minute}
	var again, leave <-chan time.Time // when to poll after a failure; when to leave
	draining := false
	send(false)
	for {
		select {
		case p := <-results:
			waiting--
			if p.job != nil {
				w.accept(ctx, p.job)
			}
			if p.err == nil {
				backoff.Reset()
				unlisted.Reset()
			}
			switch {
			case draining && waiting == 0:
				return nil
			case draining && p.number == newest:
				// The broker has the last status. A job that it gave to the older
				// poll before may still be on its way.
				leave = time.After(lastPoll)
			case draining || p.number != newest:
				// A newer one is under way.
			case p.err == nil:
				send(false)
			case refused(p.err):
				pause := unlisted.Next(p.err)
				w.Logger.Error("this agent is no longer listed by the broker: it gets no jobs until the operator lists it again; running jobs go on",
					"fingerprint", w.Key.Fingerprint(), "retry_in", pause.Round(time.Millisecond), "error", p.err)
				again = time.After(pause)
			case !signaling.Retryable(p.err):
				return p.err
			default:
				pause := backoff.Next(p.err)
				w.Logger.Warn("a poll failed; retrying", "in", pause.Round(time.Millisecond), "error", p.err)
				again = time.After(pause)
			}
		case <-w.reservations.changed:
			if !draining && again == nil {
				send(false)
			}
		case <-again:
			again = nil
			send(false)
		case <-leave:
			return nil
		case <-drain:
			w.Logger.Info("draining: no new jobs; running ones will end")
			drain, again, draining = nil, nil, true
			send(true)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Status returns the status that a poll would carry now.
func (w *Worker) Status(draining bool) *api.Status { return w.status(draining) }

func (w *Worker) status(draining bool) *api.Status {
	s := &api.Status{Version: w.Version, SoftLimits: w.SoftLimits, Tags: w.Tags, Warm: w.Warm(), Sealing: w.Sealing, Draining: draining}
	s.Capabilities, s.Recipes = w.Offer()
	if kind := w.nat.Load(); kind != nil {
		s.NAT = *kind
	}
	w.reservations.fill(s)
	return s
}
