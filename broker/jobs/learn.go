package jobs

import (
	"time"

	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/common/api"
)

// lesson is the result of one job, for the scheduler.
type lesson struct {
	result   scheduler.Result
	expected time.Duration
}

// learn notes a verdict on an agent, if there is one. The caller holds the job's
// mutex.
func (n *next) learn(j *Job, c *claim, v scheduler.Verdict, took time.Duration) {
	if v == 0 {
		return
	}
	n.lesson = &lesson{expected: c.expected, result: scheduler.Result{
		Agent: c.agent, Target: j.need.Target, Toolchain: j.need.Toolchain.Name, Project: j.board.farm.ProjectKey(j.need.Project),
		Verdict: v, Warmth: c.warmth, Took: max(took, 0), At: j.board.now(),
	}}
}

// learn passes a lesson about a listed agent on to the scheduler and the history.
func (b *Board) learn(l *lesson) {
	if _, listed := b.cfg.Directory.Lookup(l.result.Agent); !listed {
		return
	}
	b.farm.Learn(l.result)
	if l.result.Verdict == scheduler.Built {
		b.metrics.learned(l.result.Took, l.expected)
	}
	if b.cfg.History == nil {
		return
	}
	if err := b.cfg.History.Add(l.result); err != nil {
		b.cfg.Logger.Error("a result is not kept over the next restart", "err", err)
	}
}

// recall learns the results of the history, about agents that are still listed.
func (b *Board) recall() error {
	if b.cfg.History == nil {
		return nil
	}
	results, unread, err := b.cfg.History.Results()
	if err != nil {
		return err
	}
	if unread > 0 {
		b.cfg.Logger.Warn("some of the history is damaged or of another version; it is left out", "results", unread)
	}
	for _, r := range results {
		if _, listed := b.cfg.Directory.Lookup(r.Agent); listed {
			b.farm.Learn(r)
		}
	}
	return nil
}

// Explanation is why a job got its candidates. It is the body of a response.
type Explanation struct {
	JobID     string    `json:"job_id"`
	ChosenAt  time.Time `json:"chosen_at"`
	Target    string    `json:"target,omitempty"`
	Toolchain string    `json:"toolchain,omitempty"`
	// Candidates are best first, each with the terms of its score.
	Candidates []api.Explained `json:"candidates"`
}

// Explain returns the scores from when the grant was made, and nothing about the
// user or the project. Only the last few thousand choices are kept.
func (b *Board) Explain(jobID string) (*Explanation, error) {
	j, err := b.find(jobID)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.choice == nil {
		return nil, ErrUnknownJob
	}
	return &Explanation{
		JobID: jobID, ChosenAt: j.chosen.UTC(), Target: j.need.Target, Toolchain: j.need.Toolchain.String(), Candidates: explain(j.choice),
	}, nil
}

// explain is never nil.
func explain(ranked []scheduler.Ranked) []api.Explained {
	all := make([]api.Explained, len(ranked))
	for i := range ranked {
		all[i] = api.Explained{Name: ranked[i].Name, Fingerprint: ranked[i].Fingerprint, Score: ranked[i].Score}
	}
	return all
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

// endedWith notes the line in the log of a job that has ended, which it gets once.
// The caller holds mu.
func (j *Job) endedWith(n *next, o api.Outcome) {
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
