package server

import (
	"net/http"
	"time"

	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/common/api"
)

// pathOneJob is why one of the last jobs got its candidates.
const pathOneJob = "/services/jobs/{job_id}"

// explanation is the body of its response.
type explanation struct {
	JobID     string    `json:"job_id"`
	ChosenAt  time.Time `json:"chosen_at"`
	Target    string    `json:"target,omitempty"`
	Toolchain string    `json:"toolchain,omitempty"`
	// Candidates are best first, each with the terms of its score.
	Candidates []explained `json:"candidates"`
}

type explained struct {
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"`
	scheduler.Score
}

// explainJob serves GET /services/jobs/{job_id}. It tells what was known when the
// grant was made, and nothing of the user or the project.
func (s *Server) explainJob(w *response, r *http.Request) error {
	id := r.PathValue("job_id")
	c, ok := s.match.chosen.of(id)
	if !ok {
		return problem(http.StatusNotFound, api.CodeUnknownJob, "nothing is known of the job any more", "only the last few thousand choices are kept, and none over a restart")
	}
	e := explanation{JobID: id, ChosenAt: c.at.UTC(), Target: c.need.Target, Toolchain: c.need.Toolchain, Candidates: []explained{}}
	for i := range c.ranked {
		e.Candidates = append(e.Candidates, explained{c.ranked[i].Name, c.ranked[i].Fingerprint, c.ranked[i].Score})
	}
	return w.json(http.StatusOK, &e)
}
