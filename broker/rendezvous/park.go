package rendezvous

import (
	"context"
	"time"
)

// Poll is an agent's request for a job.
type Poll struct {
	// Agent is the agent's authenticated identity.
	Agent string
	// Wait is how long to stay parked.
	Wait time.Duration
	// Gone ends the wait with ErrGone when it is closed. Nil never does.
	Gone <-chan struct{}
}

// slot is one parked poll. The goroutine that takes it out of agent.slot, under
// agent.mu, may send on it or close it, once.
type slot[C Claim] struct {
	storm bool   // set before ch is closed
	ch    chan C // capacity 1
}

// Park waits until the agent claims a job. Without one it returns ok false: with
// no error when the wait ends or the same agent parks again; with ErrSuperseded
// if the latter happens so often that two agents must share one key; with
// ErrDraining; with ErrGone; or with the cause of ctx, in which case no job stays
// claimed for the agent. When p.Gone is closed it may return a claim all the
// same.
func (r *Rendezvous[C]) Park(ctx context.Context, p Poll) (c C, ok bool, err error) {
	if ctx.Err() != nil {
		return c, false, context.Cause(ctx)
	}
	select {
	case <-r.draining:
		return c, false, ErrDraining
	default:
	}
	a := r.lock(p.Agent, true)
	a.lastUsed = time.Now()
	a.supersede(r)
	if c, ok = a.next(r); ok {
		a.mu.Unlock()
		return deliver(ctx, c)
	}
	if p.Wait <= 0 {
		a.mu.Unlock()
		return c, false, nil
	}
	s := &slot[C]{ch: make(chan C, 1)}
	a.slot = s
	a.mu.Unlock()

	r.stats.parked.Add(1)
	defer r.stats.parked.Add(-1)
	timer := time.NewTimer(p.Wait)
	defer timer.Stop()
	var end error
	select {
	case c, ok = <-s.ch:
		return s.deliver(ctx, c, ok)
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
		return c, false, end
	}
	// Another goroutine took the slot out first: a claim is in it, or it is closed.
	c, ok = <-s.ch
	return s.deliver(ctx, c, ok)
}

// deliver turns the value received from the slot into the results of Park.
func (s *slot[C]) deliver(ctx context.Context, c C, ok bool) (C, bool, error) {
	if ok {
		return deliver(ctx, c)
	}
	if s.storm {
		return c, false, ErrSuperseded
	}
	return c, false, nil
}

// deliver passes the claim on, unless the request that would carry it is gone.
func deliver[C Claim](ctx context.Context, c C) (C, bool, error) {
	if ctx.Err() != nil {
		c.HandBack()
		return c, false, context.Cause(ctx)
	}
	return c, true, nil
}

// EndPoll ends the agent's parked poll, if there is one, without a job.
func (r *Rendezvous[C]) EndPoll(agent string) {
	if a := r.lock(agent, false); a != nil {
		a.supersede(r)
		a.mu.Unlock()
	}
}

// supersede ends the parked poll, if there is one. The caller holds a.mu.
func (a *agent[C]) supersede(r *Rendezvous[C]) {
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

// stormRate is how often a second an agent may take over its own polls. An agent
// that reports every job that begins or ends stays below it; two agents with one
// key, which end each other's polls in turn, do not.
const stormRate = 50
