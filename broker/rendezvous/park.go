package rendezvous

import (
	"context"
	"time"

	"github.com/farforge/farforge/common/capacity"
)

// Poll is an agent that asks for work.
type Poll struct {
	// Agent is the agent's authenticated identity.
	Agent string
	// Free is what it can give to a job now.
	Free capacity.Capacity
	// Wait is how long to stay parked.
	Wait time.Duration
	// Gone, once closed, ends the wait with ErrGone. Nil never does.
	Gone <-chan struct{}
}

// Assignment is a job in the hands of the agent that claimed it.
type Assignment struct {
	Offer Offer
	// AnswerBy is when the claim is revoked.
	AnswerBy time.Time

	r     *Rendezvous
	job   *job
	claim uint64
}

// Park waits until a job comes for the agent. It returns nil without an error
// when the wait ends without one, or at once when the same agent parks again;
// ErrSuperseded if that happens so often that two agents must be at it;
// ErrDraining; ErrGone, or a job all the same, once p.Gone is closed; or the cause of ctx, in which case no job is left with the agent.
func (r *Rendezvous) Park(ctx context.Context, p Poll) (*Assignment, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if r.isDraining() {
		return nil, ErrDraining
	}
	a := r.lockAgent(p.Agent, true)
	a.lastUsed = time.Now()
	a.supersede(r)
	if as := a.next(r, p.Free); as != nil {
		a.mu.Unlock()
		return as.deliver(ctx)
	}
	if p.Wait <= 0 {
		a.mu.Unlock()
		return nil, nil
	}
	s := &slot{free: p.Free, ch: make(chan *Assignment, 1)}
	a.slot = s
	a.mu.Unlock()

	r.stats.parked.Add(1)
	defer r.stats.parked.Add(-1)
	timer := time.NewTimer(p.Wait)
	defer timer.Stop()
	var end error
	select {
	case as, ok := <-s.ch:
		return s.deliver(ctx, as, ok)
	case <-timer.C:
	case <-r.draining:
		end = ErrDraining
	case <-p.Gone:
		end = ErrGone
	case <-ctx.Done():
		end = context.Cause(ctx)
	}
	a.mu.Lock()
	mine := a.slot == s
	if mine {
		a.slot = nil
	}
	a.lastUsed = time.Now()
	a.mu.Unlock()
	if mine {
		return nil, end
	}
	// Somebody took the slot out first: there is a job in it, or it is closed.
	as, ok := <-s.ch
	return s.deliver(ctx, as, ok)
}

// deliver turns what came through the slot into what Park returns.
func (s *slot) deliver(ctx context.Context, as *Assignment, ok bool) (*Assignment, error) {
	if ok {
		return as.deliver(ctx)
	}
	if s.storm {
		return nil, ErrSuperseded
	}
	return nil, nil
}

// deliver passes the job on, unless the request that would carry it is gone.
func (as *Assignment) deliver(ctx context.Context) (*Assignment, error) {
	if ctx.Err() != nil {
		as.HandBack()
		return nil, context.Cause(ctx)
	}
	return as, nil
}

// Leave ends the agent's parked poll, if there is one, with nothing.
func (r *Rendezvous) Leave(agent string) {
	if a := r.lockAgent(agent, false); a != nil {
		a.supersede(r)
		a.mu.Unlock()
	}
}

// supersede ends the parked poll, if there is one. The caller holds a.mu.
func (a *agent) supersede(r *Rendezvous) {
	s := a.slot
	if s == nil {
		return
	}
	if now := time.Now(); now.Sub(a.counting) > time.Second {
		a.counting, a.superseded = now, 0
	}
	a.superseded++
	s.storm = a.superseded > stormRate
	a.slot = nil
	close(s.ch)
	r.stats.superseded.Add(1)
}

// next claims the job whose turn it is among those that fit. The caller holds
// a.mu.
func (a *agent) next(r *Rendezvous, free capacity.Capacity) *Assignment {
	for {
		p := a.line.next(free)
		if p == nil {
			return nil
		}
		as, full := p.job.take(r, p.i)
		if as != nil || full { // the agent's next poll looks again
			return as
		}
		// Another agent was faster; or this one was late with the job before. If
		// the job has come back meanwhile, its dispatch waits for a.mu and enters
		// it again.
		if p.job.is(waiting) {
			a.leave(r, p.job, p.i)
		}
	}
}

// stormRate is how often a second an agent may take over its own polls. One
// that tells of every job that begins or ends stays below it; two agents with
// one key, which end each other's polls in turn, do not.
const stormRate = 50
