package rendezvous

import (
	"sync"
	"time"

	"github.com/farforge/farforge/common/capacity"
)

// agent is one agent's side of the meeting point: its parked poll, if any, and
// the line of jobs that it may take.
type agent struct {
	id string

	mu       sync.Mutex
	gone     bool // swept out of the map; look it up again
	slot     *slot
	line     line
	lastUsed time.Time
	// superseded polls since counting began; see stormRate.
	superseded int
	counting   time.Time
}

// slot is one parked poll. Who takes it out of agent.slot, under agent.mu, may
// send on it or close it, once.
type slot struct {
	free  capacity.Capacity
	storm bool             // set before ch is closed
	ch    chan *Assignment // capacity 1
}

// lockAgent returns the agent with its mutex held, or nil if it is unknown and
// create is false.
func (r *Rendezvous) lockAgent(id string, create bool) *agent {
	p := r.agents.Of(id)
	for {
		p.Lock()
		a := p.Entries[id]
		if a == nil && create {
			a = &agent{id: id}
			p.Entries[id] = a
			r.stats.agents.Add(1)
		}
		p.Unlock()
		if a == nil {
			return nil
		}
		a.mu.Lock()
		if !a.gone {
			return a
		}
		a.mu.Unlock()
	}
}

// enter puts the job into the line as candidate i, behind its user's
// older ones.
// The caller holds a.mu.
func (a *agent) enter(r *Rendezvous, j *job, i int) {
	if j.places[i] != nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.over() || j.isLate(i) {
		return
	}
	j.queued = true
	r.stats.queued.Add(1)
	j.places[i] = a.line.add(place{j, i})
}

// leave takes the job's place i out of the line. The caller holds a.mu.
func (a *agent) leave(r *Rendezvous, j *job, i int) {
	if j.places[i] == nil {
		return
	}
	a.line.remove(j.places[i])
	j.places[i] = nil
	r.stats.queued.Add(-1)
}

// unlink takes a job that is over out of every line. Nobody can enter it
// again, as enter looks at the state under the same agent's mutex.
func (r *Rendezvous) unlink(j *job) {
	j.mu.Lock()
	queued := j.queued
	j.mu.Unlock()
	if !queued {
		return
	}
	for i, id := range j.candidates {
		if a := r.lockAgent(id, false); a != nil {
			a.leave(r, j, i)
			a.mu.Unlock()
		}
	}
}
