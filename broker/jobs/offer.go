package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/envelope"
)

// Waiting tells a client how to continue when its offer has no answer yet.
type Waiting struct {
	api.Waiting
	// RetryAfter is the pause before the client posts its offer again; 0 is none.
	RetryAfter time.Duration
}

// retryDraining is how long a new broker may take to follow this one.
const retryDraining = 2 * time.Second

// Offer blocks until an agent's answer is there and returns it, but not longer
// than wait; a claim that is under way then still gets its time to answer. Without
// an answer it returns how to continue. The board keeps body.
//
// An agent that claims the job and does not answer in time loses it to the next
// candidate, within the same call.
func (b *Board) Offer(ctx context.Context, t Ticket, body []byte, wait time.Duration) (answer []byte, w *Waiting, err error) {
	if b.cfg.RequireSealed && !envelope.Sealed(body) {
		return nil, nil, ErrPlainOffer
	}
	if tooManyCandidates(body) {
		return nil, nil, ErrTooManyInOffer
	}
	j, answer, err := b.offer(ctx, t, body, wait)
	var waiting *WaitingError
	switch {
	case errors.As(err, &waiting):
		if !b.farm.anyAlive(t.Grant.Agents) {
			j.mu.Lock()
			if !j.over() {
				j.room.Drop()
			}
			j.mu.Unlock()
			return nil, nil, ErrNoAgent
		}
		w, err = b.waiting(j, waiting.Position, pause(wait))
	case errors.Is(err, ErrDraining):
		w, err = b.waiting(j, 0, retryDraining)
	}
	return answer, w, err
}

func (b *Board) offer(ctx context.Context, t Ticket, body []byte, wait time.Duration) (*Job, []byte, error) {
	start := time.Now()
	c := &call{wake: make(chan struct{}, 1), ctx: ctx, end: b.now().Add(wait), draining: b.meet.Draining()}
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	j, err := b.jobs.open(b, t)
	if err != nil {
		return nil, nil, err
	}
	if b.Draining() {
		return j, nil, ErrDraining
	}
	n, err := j.offer(t, body, c)
	if err == errForgotten {
		return b.offer(ctx, t, body, wait)
	}
	if err != nil {
		return j, nil, err
	}
	b.stats.offering.Add(1)
	defer b.stats.offering.Add(-1)
	b.follow(j, n)
	answer, err := b.attend(j, c)
	if err == nil {
		b.metrics.match.Observe(time.Since(start).Seconds())
	}
	return j, answer, err
}

// attend waits for the answer on behalf of the request.
func (b *Board) attend(j *Job, c *call) ([]byte, error) {
	timer := time.NewTimer(c.end.Sub(b.now()))
	defer timer.Stop()
	draining := c.draining
	for {
		done, answer, err := j.attend(c)
		if done {
			if w, ok := err.(*WaitingError); ok {
				w.Position = b.meet.Position(&j.entry, b.now())
			}
			return answer, err
		}
		select {
		case <-c.wake:
		case <-timer.C:
		case <-draining:
			draining = nil // seen
		case <-c.ctx.Done():
		}
	}
}

// attend returns how the request of the client has ended, if it has.
func (j *Job) attend(c *call) (done bool, answer []byte, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.call != c {
		return true, nil, ErrReplaced
	}
	now := j.board.now()
	switch j.phase.now() {
	case answered:
		j.call, j.lastUsed = nil, now
		if c.ctx.Err() != nil { // the answer is kept for the client's next request
			j.mail.wake(toClient)
			return true, nil, context.Cause(c.ctx)
		}
		if j.reply == nil {
			return true, nil, ErrCollected
		}
		return true, j.fetch(), nil
	case failed:
		j.call, j.lastUsed = nil, now
		return true, nil, ErrNoAnswer
	case claimed:
		if c.ctx.Err() == nil {
			return false, nil, nil
		}
		j.call, j.lastUsed = nil, now
		return true, nil, context.Cause(c.ctx)
	}
	if err = c.enough(now); err == nil {
		return false, nil, nil
	}
	_, waited := err.(*WaitingError)
	j.gaveUp = waited || err == ErrDraining
	if j.gaveUp {
		j.room.Keep(now)
	}
	j.call, j.lastUsed = nil, now
	if j.watchers == 0 {
		j.set(away)
	}
	return true, nil, err
}

// fetch returns the answer, which the client has from then on: it can confirm how
// the job ended with this agent, and no other. The caller holds mu.
func (j *Job) fetch() []byte {
	j.fetched, j.holder.answered = true, true
	return j.reply
}

// tooManyCandidates counts the candidates of an offer or answer in plain text, so
// that no end can aim the other at hundreds of strangers. The other end counts
// those of a sealed one.
func tooManyCandidates(body []byte) bool {
	return !envelope.Sealed(body) && bytes.Count(body, []byte("a=candidate:")) > api.MaxTrickled
}

// pause is the time between a request that waited and the client's next. A job
// without a request keeps its place but loses its turn, so there is no pause after
// a long wait.
func pause(waited time.Duration) time.Duration {
	if waited >= time.Second {
		return 0
	}
	return time.Second
}

// waiting returns a fresh grant for the same job. A position of 0 is unknown.
func (b *Board) waiting(j *Job, position int, retry time.Duration) (*Waiting, error) {
	t, err := b.signer.renew(ticketOf(j).Grant)
	if err != nil {
		return nil, err
	}
	w := &Waiting{RetryAfter: retry, Waiting: api.Waiting{
		Type: "about:blank", Title: http.StatusText(http.StatusAccepted), Status: http.StatusAccepted, Code: api.CodeQueued,
		Detail: "no agent has taken the job yet",
		JobID:  j.id, Grant: t.Token, ExpiresAt: t.Grant.ExpiresAt, Position: position,
	}}
	j.mu.Lock()
	if !j.is(forgotten) {
		j.ticket = t
	}
	j.mu.Unlock()
	if position > 0 {
		w.Detail = fmt.Sprintf("all able agents are busy; the job is number %d in line", position)
		if start := b.farm.Start(j.entry.Candidates, j.need, position-1, b.now()); start > 0 {
			w.EstimateSecs = max(1, int((start+time.Second-1)/time.Second))
		}
	}
	return w, nil
}
