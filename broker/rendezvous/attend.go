package rendezvous

import (
	"context"
	"time"
)

// attend waits for the job's end on behalf of the blocked call c.
func (r *Rendezvous) attend(ctx context.Context, j *job, c *call, end time.Time) ([]byte, error) {
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	draining := r.draining
	for {
		v := r.look(ctx, j, c, end)
		if v.late != "" && r.cfg.Late != nil {
			r.cfg.Late(j.id, v.late)
		}
		if v.over {
			r.unlink(j)
		}
		if v.done {
			if w, ok := v.err.(*WaitingError); ok {
				w.Position = r.position(j)
			}
			return v.answer, v.err
		}
		if v.again {
			r.dispatch(j)
			continue
		}
		timer.Reset(time.Until(v.next))
		select {
		case <-c.wake:
		case <-timer.C:
		case <-draining:
			draining = nil // seen; look asks the Rendezvous itself
		case <-ctx.Done():
		}
	}
}

// view is what look found: the call is done, or the job is to be dispatched
// again, or nothing changes before next.
type view struct {
	done, over, again bool
	answer            []byte
	err               error
	next              time.Time
	late              string // the agent whose claim ended without an answer
}

func (r *Rendezvous) look(ctx context.Context, j *job, c *call, end time.Time) view {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	if j.call != c {
		return view{done: true, err: ErrReplaced}
	}
	switch jobState(j.state.Load()) {
	case answered:
		j.detach(now)
		if ctx.Err() != nil { // nobody is there to fetch it
			return view{done: true, err: context.Cause(ctx)}
		}
		if j.answer == nil {
			return view{done: true, err: ErrCollected}
		}
		j.fetched = true
		return view{done: true, answer: j.answer}
	case failed:
		j.detach(now)
		return view{done: true, err: ErrNoAnswer}
	case claimed:
		if ctx.Err() != nil { // the answer is kept for the client's return
			j.detach(now)
			return view{done: true, err: context.Cause(ctx)}
		}
		if now.Before(j.answerBy) {
			return view{next: j.answerBy}
		}
		late := j.candidates[j.holder]
		r.stats.revoked.Add(1)
		if !j.revoke(r) {
			j.detach(now)
			return view{done: true, over: true, err: ErrNoAnswer, late: late}
		}
		if err := r.enough(ctx, end, now); err != nil {
			v := j.leave(now, err)
			v.late = late
			return v
		}
		return view{again: true, late: late}
	default:
		if err := r.enough(ctx, end, now); err != nil {
			return j.leave(now, err)
		}
		return view{next: end}
	}
}

// enough says why a waiting job's client does not wait any longer.
func (r *Rendezvous) enough(ctx context.Context, end, now time.Time) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case r.isDraining():
		return ErrDraining
	case !now.Before(end):
		return &WaitingError{}
	}
	return nil
}

// leave ends the call of a waiting job. The caller holds j.mu.
func (j *job) leave(now time.Time, err error) view {
	j.set(away)
	_, waited := err.(*WaitingError)
	j.gaveUp = waited || err == ErrDraining
	j.detach(now)
	return view{done: true, err: err}
}
