package rendezvous

import "github.com/farforge/farforge/broker/internal/tables"

// Expel takes an agent that may not serve any more off every job that it holds
// and has not answered: they go to the next candidate at once. Its parked poll
// is the caller's to end, with Poll.Gone. It looks at every job, which costs
// milliseconds for many thousands.
func (r *Rendezvous) Expel(agent string) {
	var held []string
	for i := range tables.Shards {
		p := r.jobs.Part(i)
		p.Lock()
		for id, j := range p.Entries {
			if j.heldBy(agent) {
				held = append(held, id)
			}
		}
		p.Unlock()
	}
	for _, id := range held {
		r.Refuse(id, agent, true)
	}
}

func (j *job) heldBy(agent string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.is(claimed) && j.candidates[j.holder] == agent
}
