package jobs

import (
	"context"
	"sync/atomic"
	"time"
)

// state is where a job is in its life; the package comment draws the changes.
type state uint32

const (
	granted state = iota
	waiting
	away
	claimed
	answered
	failed
	forgotten
)

// phase holds the state of a job. It is written under the job's mutex; lines read
// it without.
type phase struct{ state atomic.Uint32 }

func (p *phase) now() state { return state(p.state.Load()) }

func (p *phase) is(s state) bool { return p.now() == s }

// over reports whether no agent can claim the job ever again.
func (p *phase) over() bool { return p.now() >= answered }

// set changes the state. A job that waits adds to the lines of its candidates, as
// the scheduler counts them. The caller holds mu.
func (j *Job) set(s state) {
	before := state(j.phase.state.Swap(uint32(s)))
	switch {
	case before == s:
	case s == waiting:
		j.board.stats.waiting.Add(1)
		j.board.farm.Queue(j.entry.Candidates, 1)
	case before == waiting:
		j.board.stats.waiting.Add(-1)
		j.board.farm.Queue(j.entry.Candidates, -1)
	}
}

// Waiting is for rendezvous.Job.
func (j *Job) Waiting() bool { return j.is(waiting) }

// between is the longest time between two requests of a client, which are a second
// or two apart, in which its job counts in places.
const between = 5 * time.Second

// Counts reports whether the job waits, or will wait again in a moment because its
// client is about to retry. It is for rendezvous.Job.
func (j *Job) Counts(now time.Time) bool {
	if !j.is(away) {
		return j.is(waiting)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.gaveUp && now.Sub(j.lastUsed) < between
}

// Enter is for rendezvous.Job.
func (j *Job) Enter(i int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.over() || j.isExcluded(i) {
		return false
	}
	j.queued = true
	return true
}

// attended reports whether a request of the client waits for an agent. The caller
// holds mu.
func (j *Job) attended(now time.Time) bool {
	return j.watchers > 0 || j.call != nil && j.call.enough(now) == nil
}

// expireIn sets the job's timer. The caller holds mu.
func (j *Job) expireIn(d time.Duration) {
	if j.timer == nil {
		j.timer = time.AfterFunc(d, func() {
			select {
			case <-j.board.closed:
			default:
				j.board.follow(j, j.expire())
			}
		})
	} else {
		j.timer.Reset(d)
	}
}

// weigh counts the bytes of offer or answer that the record keeps from now on.
// The caller holds mu.
func (j *Job) weigh(n int) {
	j.board.stats.bytes.Add(int64(n) - j.size)
	j.size = int64(n)
}

// takeRoom takes or keeps the job's room in its user's account. The caller holds
// mu.
func (j *Job) takeRoom(now time.Time) error {
	user, ok := j.board.cfg.Users.Still(j.user, now)
	if !ok {
		return ErrUserRevoked
	}
	if j.room != nil && j.room.Keep(now) {
		return nil
	}
	room, refusal := j.board.cfg.Accounts.Take(user.ID, user.Limits, j.session, now)
	if refusal != nil {
		return &QuotaError{refusal}
	}
	j.room = room
	return nil
}

// call is one blocked request of the client. Its channel wakes the request to look
// at the job again.
type call struct {
	wake     chan struct{}
	ctx      context.Context
	end      time.Time
	draining <-chan struct{}
}

func (c *call) notify() {
	if c == nil {
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// enough returns why the request does not wait for an agent any longer, or nil.
func (c *call) enough(now time.Time) error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	select {
	case <-c.draining:
		return ErrDraining
	default:
	}
	if !now.Before(c.end) {
		return &WaitingError{}
	}
	return nil
}
