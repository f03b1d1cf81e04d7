package rendezvous

import (
	"sync/atomic"
	"time"

	"github.com/farforge/farforge/broker/internal/tables"
)

type counters struct {
	parked, offering, jobs, waiting, agents, queued, bytes atomic.Int64
	claims, handedBack, revoked, refused, full, superseded atomic.Int64
	met, gaveUp, hungUp                                    atomic.Int64
}

// Stats is a momentary count; its fields are not taken at one instant.
type Stats struct {
	// Parked polls and Offering requests are blocked now.
	Parked, Offering int64
	// Jobs and Agents are in memory now, and Waiting jobs have a client that
	// waits for a claim; Queued are places in agents' lines. Bytes are those of
	// the offers and answers.
	Jobs, Waiting, Agents, Queued, Bytes int64
	// Claims count since the start, and how they ended without an answer: the
	// job never arrived, the agent was late, or said no. Full are those that
	// Config.Claim did not let be made.
	Claims, HandedBack, Revoked, Refused, Full int64
	// Superseded polls were ended by a newer one of the same agent.
	Superseded int64
	// Met jobs were claimed at least once. GaveUp and HungUp are jobs that nobody
	// had claimed when they were forgotten: the client did not come back after
	// its request had ended, or broken off.
	Met, GaveUp, HungUp int64
}

// Stats returns the counts.
func (r *Rendezvous) Stats() Stats {
	s := &r.stats
	return Stats{
		Parked: s.parked.Load(), Offering: s.offering.Load(),
		Jobs: s.jobs.Load(), Waiting: s.waiting.Load(), Agents: s.agents.Load(), Queued: s.queued.Load(), Bytes: s.bytes.Load(),
		Claims: s.claims.Load(), HandedBack: s.handedBack.Load(), Revoked: s.revoked.Load(), Refused: s.refused.Load(),
		Full: s.full.Load(), Superseded: s.superseded.Load(), Met: s.met.Load(), GaveUp: s.gaveUp.Load(), HungUp: s.hungUp.Load(),
	}
}

// Oldest returns when the job was first offered that waits longest, or the zero
// time if none waits. It looks at every job.
func (r *Rendezvous) Oldest() (oldest time.Time) {
	if r.stats.waiting.Load() == 0 {
		return oldest
	}
	for i := range tables.Shards {
		p := r.jobs.Part(i)
		p.Lock()
		for _, j := range p.Entries {
			if j.is(waiting) && (oldest.IsZero() || j.offered.Before(oldest)) {
				oldest = j.offered
			}
		}
		p.Unlock()
	}
	return oldest
}
