package rendezvous

import (
	"time"

	"github.com/farforge/farforge/broker/internal/tables"
)

// sweepLoop forgets what is out of use, until Close.
func (r *Rendezvous) sweepLoop() {
	tick := time.NewTicker(max(min(r.cfg.Memory, r.cfg.AnswerMemory)/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-r.closed:
			return
		case now := <-tick.C:
			r.sweep(now)
		}
	}
}

func (r *Rendezvous) sweep(now time.Time) {
	var over []*job
	for i := range tables.Shards {
		p := r.jobs.Part(i)
		p.Lock()
		for id, j := range p.Entries {
			if r.forget(j, now) {
				delete(p.Entries, id)
				r.stats.jobs.Add(-1)
				over = append(over, j)
			}
		}
		p.Unlock()
		for _, j := range over {
			r.unlink(j)
		}
		over = over[:0]
	}
	for i := range tables.Shards {
		p := r.agents.Part(i)
		p.Lock()
		for id, a := range p.Entries {
			a.mu.Lock()
			if a.slot == nil && a.line.jobs == 0 && now.Sub(a.lastUsed) > r.cfg.Memory {
				a.gone = true
				delete(p.Entries, id)
				r.stats.agents.Add(-1)
			}
			a.mu.Unlock()
		}
		p.Unlock()
	}
}

// forget drops the job if it is out of use, or at least the bytes of an answer
// that the client has had.
func (r *Rendezvous) forget(j *job, now time.Time) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.call != nil {
		return false
	}
	idle := now.Sub(j.lastUsed)
	if j.fetched && idle > r.cfg.AnswerMemory {
		j.answer = nil
		j.weigh(r, 0)
	}
	had := j.fetched && j.answer == nil && r.stats.jobs.Load() > r.cfg.MaxJobs/2
	if idle <= r.cfg.Memory && !had {
		return false
	}
	if j.is(away) && j.claim == 0 {
		if j.gaveUp {
			r.stats.gaveUp.Add(1)
		} else {
			r.stats.hungUp.Add(1)
		}
	}
	j.set(dropped)
	j.weigh(r, 0)
	return true
}
