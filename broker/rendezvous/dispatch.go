package rendezvous

import (
	"container/list"
	"time"
)

// Dispatch gives a waiting job to the first candidate that is parked and has
// room, or puts it into the lines of all of them. Several calls for one job may
// run at once.
func (r *Rendezvous[C]) Dispatch(e *Entry[C]) {
	for i := range e.Candidates {
		if r.try(e, i, false) {
			return
		}
	}
	for i := range e.Candidates {
		if r.try(e, i, true) {
			return
		}
	}
}

// Join gives the entry its order in the lines. It is called once, before the
// first Dispatch.
func (r *Rendezvous[C]) Join(e *Entry[C]) {
	e.ticket = r.ticket.Add(1)
	e.places = make([]*list.Element, len(e.Candidates))
}

// try returns true when the job needs no further candidate: this one has it
// now, or the job does not wait any more. With queue it also enters the line.
func (r *Rendezvous[C]) try(e *Entry[C], i int, queue bool) bool {
	if !e.Job.Waiting() {
		return true
	}
	a := r.lock(e.Candidates[i], queue)
	if a == nil {
		return false
	}
	defer a.mu.Unlock()
	if s := a.slot; s != nil && r.cfg.Free(a.id).Fits(e.Need) {
		if c, result := e.Job.Claim(i); result == Claimed {
			a.slot = nil
			s.ch <- c
			return true
		}
	}
	if queue && e.places[i] == nil && e.Job.Enter(i) {
		e.places[i] = a.line.add(place[C]{e, i})
		r.stats.queued.Add(1)
	}
	return false
}

// Rematch matches the agent's parked poll with its line once more. The owner of
// the jobs calls it when the agent has room again.
func (r *Rendezvous[C]) Rematch(agent string) {
	a := r.lock(agent, false)
	if a == nil {
		return
	}
	defer a.mu.Unlock()
	s := a.slot
	if s == nil {
		return
	}
	if c, ok := a.next(r); ok {
		a.slot = nil
		s.ch <- c
	}
}

// next claims the job whose turn it is among those that fit. A job for which the
// agent is full does not hide the others. The caller holds a.mu.
func (a *agent[C]) next(r *Rendezvous[C]) (c C, ok bool) {
	if a.line.jobs == 0 {
		return c, false
	}
	free := r.cfg.Free(a.id)
	var full []*Entry[C]
	for {
		p := a.line.next(free, full)
		if p == nil {
			return c, false
		}
		c, result := p.job.Job.Claim(p.i)
		switch result {
		case Claimed:
			return c, true
		case Full:
			full = append(full, p.job)
		default:
			// Another agent was faster, or this one may not have the job. If the
			// job waits again meanwhile, its Dispatch waits for a.mu and enters
			// it again.
			if !p.job.Job.Waiting() {
				continue
			}
			a.leave(r, p.job, p.i)
		}
	}
}

// leave takes the job's place i out of the line. The caller holds a.mu.
func (a *agent[C]) leave(r *Rendezvous[C], e *Entry[C], i int) {
	if e.places[i] == nil {
		return
	}
	a.line.remove(e.places[i])
	e.places[i] = nil
	r.stats.queued.Add(-1)
}

// Leave takes a job that is over out of every line. Its owner must not let it
// enter a line afterwards.
func (r *Rendezvous[C]) Leave(e *Entry[C]) {
	for i, id := range e.Candidates {
		if a := r.lock(id, false); a != nil {
			a.leave(r, e, i)
			a.mu.Unlock()
		}
	}
}

// Position returns the job's best place among the jobs that wait, from 1.
func (r *Rendezvous[C]) Position(e *Entry[C], now time.Time) int {
	best := 0
	for i, id := range e.Candidates {
		a := r.lock(id, false)
		if a == nil {
			continue
		}
		if own := e.places[i]; own != nil {
			n := a.line.position(own, now)
			if best == 0 || n < best {
				best = n
			}
		}
		a.mu.Unlock()
	}
	return max(best, 1)
}
