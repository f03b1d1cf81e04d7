package jobs

import (
	"net/netip"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// Report takes an agent's report of how a job ended; its signature was verified. The
// board checks that the job's id is as old as a job can be, that no other agent
// holds the job, and that no report counts twice. It accepts reports of jobs that it
// has forgotten, and of those before a restart of the broker.
func (b *Board) Report(agent string, rep *api.Report) error {
	id, err := ulid.ParseStrict(rep.JobID)
	if err != nil {
		return ErrUnknownJob
	}
	now := b.now()
	if age := now.Sub(ulid.Time(id.Time())); age < -time.Minute || age > b.cfg.Limits.Session+maxQueued {
		return ErrTooOld
	}
	j, err := b.jobs.find(rep.JobID)
	if err != nil {
		if j, err = b.jobs.add(newJob(b, rep.JobID, now)); err != nil {
			return err
		}
	}
	n, first, err := j.report(agent, rep)
	if err != nil {
		return err
	}
	b.follow(j, n)
	if first && rep.Outcome == api.OutcomeRefused && j.is(answered) { // it has seen the project
		b.opinion.note(opinionOf(j.user, j.from), agent, j.need.Project, rep.Outcome, now)
	}
	if first {
		b.cfg.Directory.Report(agent, rep.Outcome)
		b.metrics.reports.WithLabelValues(string(rep.Outcome)).Inc()
	}
	return nil
}

// Confirm takes the client's confirmation of how its job ended. Its last grant
// shows that it is the client; that has expired when a build is done, and is valid
// for this as long as the session may last.
func (b *Board) Confirm(t Ticket, from netip.Addr, confirmation *api.Confirmation) error {
	now := b.now()
	switch {
	case !now.Before(t.Grant.ExpiresAt.Add(sessionOf(t.Grant) + maxQueued)):
		return ErrGrantExpired
	case t.Grant.CheckAudience(confirmation.Agent) != nil:
		return ErrNotCandidate
	}
	j, err := b.jobs.find(t.Grant.JobID)
	if err != nil {
		return ErrNotAnswered
	}
	n, again, err := j.confirm(confirmation, func() bool { return b.opinion.mayAccuse(t.Grant.Subject, confirmation.Agent, now) })
	if err != nil {
		return err
	}
	b.follow(j, n)
	if !again {
		b.opinion.note(opinionOf(t.Grant.Subject, from), confirmation.Agent, t.Grant.Project, confirmation.Outcome, now)
		b.metrics.confirmations.WithLabelValues(string(confirmation.Outcome)).Inc()
	}
	return nil
}

// ConfirmationLife is how long after its expiry a grant is accepted for a
// confirmation, at most.
func (b *Board) ConfirmationLife() time.Duration { return b.cfg.Limits.Session + maxQueued }

// revoke takes the jobs that the agent holds and has not answered from it, at
// once; its session and its parked poll end because the directory does not list
// it. Sessions between peers do not pass through the broker and end by their own
// limits. It looks at every job, which takes milliseconds for many thousands. The
// directory calls it.
func (b *Board) revoke(who identity.Authorized) {
	b.cfg.Logger.Warn("an agent is not listed any more; its session is void", "agent", who.Name)
	agent := who.Fingerprint
	var held []*Job
	b.jobs.each(func(j *Job) {
		if j.is(claimed) {
			held = append(held, j)
		}
	})
	for _, j := range held {
		b.follow(j, j.revoke(agent))
	}
}
