package jobs

import (
	"sync/atomic"
	"time"

	"github.com/farforge/farforge/broker/rendezvous"
)

type counters struct {
	offering, waiting, bytes, mail             atomic.Int64
	claims, handedBack, revoked, refused, full atomic.Int64
	met, gaveUp, hungUp                        atomic.Int64
}

// Stats is a momentary count; its fields are not taken at one instant.
type Stats struct {
	rendezvous.Stats
	// Offering requests are blocked now.
	Offering int64
	// Jobs are in memory now, and Waiting jobs have a client that waits for a
	// claim. Bytes are those of the offers and answers.
	Jobs, Waiting, Bytes int64
	// Claims counts the claims since the start. Of these, HandedBack did not reach
	// the agent, Revoked were not answered in time, and the agent Refused others.
	// Full counts the claims that were not made because the agent had too little
	// room.
	Claims, HandedBack, Revoked, Refused, Full int64
	// Met jobs were claimed at least once. GaveUp and HungUp are jobs that no agent
	// had claimed when they were forgotten, because the client did not return after
	// its request had ended (GaveUp) or broken off (HungUp).
	Met, GaveUp, HungUp int64
}

// Stats returns the counts.
func (b *Board) Stats() Stats {
	s := &b.stats
	return Stats{
		Stats:    b.meet.Stats(),
		Offering: s.offering.Load(), Jobs: b.jobs.count.Load(), Waiting: s.waiting.Load(), Bytes: s.bytes.Load(),
		Claims: s.claims.Load(), HandedBack: s.handedBack.Load(), Revoked: s.revoked.Load(), Refused: s.refused.Load(), Full: s.full.Load(),
		Met: s.met.Load(), GaveUp: s.gaveUp.Load(), HungUp: s.hungUp.Load(),
	}
}

// Oldest returns when the job that waits longest was first offered, or the zero
// time if none waits. It looks at every job.
func (b *Board) Oldest() (oldest time.Time) {
	if b.stats.waiting.Load() == 0 {
		return oldest
	}
	b.jobs.each(func(j *Job) {
		if !j.is(waiting) {
			return
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		if oldest.IsZero() || j.offered.Before(oldest) {
			oldest = j.offered
		}
	})
	return oldest
}
