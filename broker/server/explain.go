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
	Candidates []api.Explained `json:"candidates"`
}

// explainJob serves GET /services/jobs/{job_id}. It tells what was known when the
// grant was made, and nothing of the user or the project.
func (s *Server) explainJob(w *response, r *http.Request) error {
	id := r.PathValue("job_id")
	c, ok := s.match.chosen.of(id)
	if !ok {
		return problem(http.StatusNotFound, api.CodeUnknownJob, "nothing is known of the job any more", "only the last few thousand choices are kept, and none over a restart")
	}
	return w.json(http.StatusOK, &explanation{
		JobID: id, ChosenAt: c.at.UTC(), Target: c.need.Target, Toolchain: c.need.Toolchain.String(), Candidates: explain(c.ranked),
	})
}

// explain is never nil.
func explain(ranked []scheduler.Ranked) []api.Explained {
	all := make([]api.Explained, len(ranked))
	for i := range ranked {
		all[i] = api.Explained{Name: ranked[i].Name, Fingerprint: ranked[i].Fingerprint, Score: ranked[i].Score}
	}
	return all
}
