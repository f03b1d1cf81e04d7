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

// Explanation explains why a job got its candidates. It is the body of a
// response.
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
	j, err := b.jobs.find(jobID)
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
