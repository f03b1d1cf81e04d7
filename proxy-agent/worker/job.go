package worker

import (
	"context"
	"errors"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/signaling"
	"github.com/farforge/farforge/proxy-agent/session"
)

// accept starts a job from the broker, or reports at once that it is refused, so
// that another agent gets it. Ending ctx stops the job.
func (w *Worker) accept(ctx context.Context, job *api.Job) {
	admitted, err := w.host.Admit(job)
	if !errors.Is(err, session.ErrUnknownKey) {
		w.begin(ctx, job, admitted, err)
		return
	}
	// The broker may have a new key. Polls go on meanwhile.
	w.jobs.Go(func() {
		soon, cancel := context.WithTimeout(ctx, api.AnswerTimeout)
		defer cancel()
		if problem := w.host.RefreshKeys(soon); problem != nil {
			w.Logger.Warn("could not fetch the broker's keys", "error", problem)
		}
		admitted, err := w.host.Admit(job)
		w.begin(ctx, job, admitted, err)
	})
}

// begin serves an admitted job if there is room for it. err is that of Admit.
func (w *Worker) begin(ctx context.Context, job *api.Job, admitted *session.Admitted, err error) {
	if err == nil {
		err = w.reservations.reserve(admitted.Grant)
	}
	if err != nil {
		w.Logger.Warn("refused a job", "job", job.JobID, "reason", err)
		w.jobs.Go(func() { w.report(ctx, job.JobID, job.Claim, session.Ending{Outcome: api.OutcomeRefused}) })
		return
	}
	w.jobs.Go(func() { w.serve(ctx, admitted, job.Claim) })
}

// serve answers the job's offer and serves the client. The order at the end
// matters: first the room is free for the next job, then the broker learns how
// this one ended, and only then the connection is closed and the workspace
// removed, which can take long.
func (w *Worker) serve(ctx context.Context, admitted *session.Admitted, claim int) {
	g := admitted.Grant
	s, ending := w.answer(ctx, admitted)
	if s != nil {
		result := s.Serve(ctx)
		ending = &result
		w.reservations.served(g.JobID)
	}
	w.reservations.release(g.JobID)
	if ending != nil {
		w.jobs.Go(func() { w.report(ctx, g.JobID, claim, *ending) })
	}
	if s != nil {
		w.close(ctx, g.JobID, s)
	}
}

// answer answers the job's offer. If it fails, it returns how the job ended, or
// nil if the answer came too late: then the job is another agent's.
func (w *Worker) answer(ctx context.Context, admitted *session.Admitted) (*session.Session, *session.Ending) {
	g := admitted.Grant
	// Not until job.AnswerBy, which is a time on the broker's clock.
	soon, cancel := context.WithTimeout(ctx, api.AnswerTimeout)
	defer cancel()
	s, answer, err := w.host.Answer(soon, admitted)
	if err != nil {
		w.Logger.Warn("could not answer a job", "job", g.JobID, "error", err)
		outcome := api.OutcomeAgentFailed
		if errors.Is(err, session.ErrReplay) {
			outcome = api.OutcomeRefused
		}
		return nil, &session.Ending{Outcome: outcome}
	}
	w.jobs.Go(func() {
		s.Trickle(ctx, signaling.Trickle{Client: w.Broker, JobID: g.JobID, Token: w.auth.token})
	})
	err = insist(soon, w.Logger, "answer", func() error {
		return w.auth.with(soon, func(token string) error { return w.Broker.Answer(soon, token, g.JobID, answer) })
	})
	if err != nil {
		w.Logger.Warn("the answer to a job did not arrive", "job", g.JobID, "error", err)
		w.close(ctx, g.JobID, s)
		return nil, nil
	}
	w.Logger.Info("answered a job", "job", g.JobID, "cores", g.CPUCores, "memory_mb", g.MemoryMB)
	return s, nil
}

func (w *Worker) close(ctx context.Context, jobID string, s *session.Session) {
	if err := s.Close(ctx); err != nil {
		w.Logger.Error("a job left something behind", "job", jobID, "error", err)
	}
}
