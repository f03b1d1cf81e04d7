package server

import (
	"net/http"

	"github.com/farforge/farforge/common/api"
)

// confirmation serves POST /signaling/{job_id}/confirmation: the client tells how
// its job ended. Its last grant shows that it is the client; it has expired long
// ago when a build is done, and is good for this as long as the session may last.
func (s *Server) confirmation(w *response, r *http.Request) error {
	_, g, err := s.grantOf(r, s.cfg.Limits.Session+maxQueued)
	if err != nil {
		return err
	}
	if !s.now().Before(g.ExpiresAt.Add(sessionOf(g) + maxQueued)) {
		return grantExpired()
	}
	var word api.Confirmation
	if err := readJSON(w, r, &word); err != nil {
		return err
	}
	if g.CheckAudience(word.Agent) != nil {
		return problem(http.StatusForbidden, api.CodeForbidden, "the agent is not among those that the grant is for")
	}
	switch s.confirmed(g, &word) {
	case confirmedNow:
		s.match.shun(asker(g.Subject, s.placeOf(r)), word.Agent, word.Outcome, s.now())
		s.metrics.confirms.WithLabelValues(string(word.Outcome)).Inc()
	case confirmedOtherwise:
		return problem(http.StatusConflict, api.CodeAlreadyTold, "this job has ended otherwise, by an earlier confirmation")
	case unanswered:
		return problem(http.StatusNotFound, api.CodeUnknownJob, "the broker does not know that this agent has answered this job, or not any more")
	}
	w.empty()
	return nil
}
