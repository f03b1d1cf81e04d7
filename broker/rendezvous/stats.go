package rendezvous

import "sync/atomic"

type counters struct {
	parked, offering, jobs, agents, queued, bytes atomic.Int64
	claims, handedBack, revoked, superseded       atomic.Int64
}

// Stats is a momentary count; its fields are not taken at one instant.
type Stats struct {
	// Parked polls and Offering requests are blocked now.
	Parked, Offering int64
	// Jobs and Agents are in memory now; Queued are places in agents' lines.
	// Bytes are those of the offers and answers.
	Jobs, Agents, Queued, Bytes int64
	// Claims, HandedBack, Revoked and Superseded count since the start.
	Claims, HandedBack, Revoked, Superseded int64
}

// Stats returns the counts.
func (r *Rendezvous) Stats() Stats {
	s := &r.stats
	return Stats{
		Parked: s.parked.Load(), Offering: s.offering.Load(),
		Jobs: s.jobs.Load(), Agents: s.agents.Load(), Queued: s.queued.Load(), Bytes: s.bytes.Load(),
		Claims: s.claims.Load(), HandedBack: s.handedBack.Load(),
		Revoked: s.revoked.Load(), Superseded: s.superseded.Load(),
	}
}
