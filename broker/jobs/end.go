package jobs

import (
	"time"

	"github.com/farforge/farforge/common/api"
)

// endClaim ends a claim without an answer: the reservation and the session's time
// end, and the job waits again, for another agent if final. The caller holds mu.
func (j *Job) endClaim(n *next, final bool) {
	b, c, now := j.board, j.holder, j.board.now()
	b.cfg.Directory.Drop(c.agent, j.id, now)
	j.room.Wait(now)
	j.timer.Stop()
	n.rematch = c.agent
	if final {
		j.excluded |= 1 << c.candidate
	}
	switch {
	case j.excluded == 1<<len(j.entry.Candidates)-1: // no candidate is left
		j.set(failed)
		j.sdp = nil
		j.weigh(0)
		j.room.Drop()
		n.leave = j.queued
		n.end(j, outcomeNoAnswer)
	case j.attended(now):
		j.set(waiting)
		n.dispatch = true
	default:
		j.set(away)
	}
	j.call.notify()
}

// finish ends the session of an answered job. An agent that did not take the job,
// or failed, costs its user nothing. The caller holds mu.
func (j *Job) finish(n *next, rep *api.Report, first bool, now time.Time) {
	switch rep.Outcome {
	case api.OutcomeRefused, api.OutcomeAgentFailed:
		j.room.Drop()
	default:
		j.room.End(now)
	}
	if first || rep.Outcome == api.OutcomeRefused {
		j.timer.Stop()
		n.end(j, rep.Outcome)
	}
}

// keepUntil is when the record may be forgotten. The caller holds mu.
func keepUntil(j *Job) time.Time {
	memory := j.board.cfg.Memory
	switch j.phase.now() {
	case granted:
		if j.ticket.Grant == nil { // only reported
			return j.lastUsed.Add(reportMemory)
		}
		if end := j.ticket.Grant.ExpiresAt.Add(memory); end.After(j.lastUsed.Add(memory)) {
			return end
		}
	case answered:
		if j.holder.reported == "" || j.holder.confirmed == "" {
			return j.holder.at.Add(j.session + maxQueued)
		}
		return j.lastUsed.Add(reportMemory)
	}
	return j.lastUsed.Add(memory)
}

// The outcomes that the log has beside those of reports.
const (
	outcomeNoAnswer   = api.Outcome("no_answer")
	outcomeUnreported = api.Outcome("unreported")
	outcomeGivenUp    = api.Outcome("given_up")
)

// ending is a job's line in the log.
type ending struct {
	job, user, target, toolchain, agent string
	outcome                             api.Outcome
	took                                time.Duration
}

// end notes the line in the log of a job that has ended, which it gets once.
// The caller holds mu.
func (n *next) end(j *Job, o api.Outcome) {
	if j.ended {
		return
	}
	j.ended = true
	e := &ending{job: j.id, user: j.user, target: j.need.Target, toolchain: j.need.Toolchain.String(), outcome: o}
	now := j.board.now()
	e.took = now.Sub(j.offered)
	if j.is(answered) {
		e.agent, e.took = j.holder.agent, now.Sub(j.holder.at)
	}
	n.ending = e
}

func (b *Board) log(e *ending) {
	attrs := []any{"job", e.job, "user", e.user, "target", e.target, "toolchain", e.toolchain, "outcome", string(e.outcome), "duration", e.took.Round(time.Millisecond)}
	if who, ok := b.cfg.Directory.Lookup(e.agent); ok {
		attrs = append(attrs, "agent", who.Name)
	}
	b.cfg.Logger.Info("job ended", attrs...)
}
