package server

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/farforge/farforge/broker/mailbox"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
)

// endOf tells which end of the job in the path a request comes from: the agent
// with the fingerprint, or the client if that is empty. A grant is a JWT and so
// has dots; a session has none.
//
// A grant that this broker has made is good for this a while after it has
// expired: connecting may take longer than the time to redeem it.
func (s *Server) endOf(r *http.Request) (agent string, err error) {
	token, err := bearer(r)
	if err != nil {
		return "", err
	}
	if !strings.Contains(token, ".") {
		who, err := s.agentOf(r)
		return who.Fingerprint, err
	}
	_, _, err = s.grantOf(r, 0)
	var p *api.Problem
	if errors.As(err, &p) && p.Code == api.CodeExpired && s.lately(token, r.PathValue("job_id")) {
		return "", nil
	}
	return "", err
}

// lately tells whether the token is a grant for the job that has expired not
// long ago.
func (s *Server) lately(token, jobID string) bool {
	g, ok := s.issued.of(token)
	return ok && g.JobID == jobID && s.now().Before(g.ExpiresAt.Add(api.JobMemory))
}

// candidate serves POST /signaling/{job_id}/candidate.
func (s *Server) candidate(w *response, r *http.Request) error {
	agent, err := s.endOf(r)
	if err != nil {
		return err
	}
	body, err := readBody(w, r, api.MaxCandidate, api.TypeOpaque)
	if err == nil && len(body) == 0 {
		err = malformed("the candidate is empty")
	}
	if err != nil {
		return err
	}
	if err := s.mail.Put(r.PathValue("job_id"), agent, body); err != nil {
		return mailProblem(err)
	}
	w.empty()
	return nil
}

func mailProblem(err error) error {
	switch {
	case errors.Is(err, mailbox.ErrUnknown):
		return problem(http.StatusNotFound, api.CodeUnknownJob, "the broker does not know this job, or no agent has it yet")
	case errors.Is(err, mailbox.ErrNotHers):
		return problem(http.StatusConflict, api.CodeAlreadyAnswered, "another agent has the job")
	case errors.Is(err, mailbox.ErrTooMany):
		return after(problem(http.StatusTooManyRequests, api.CodeTooFast, "this end of the job has sent as many candidates as it may"), api.JobMemory)
	case errors.Is(err, mailbox.ErrFull):
		return after(problem(http.StatusTooManyRequests, api.CodeTooFast, "the broker has as many candidates as it can keep"), 5*time.Second)
	default:
		return err
	}
}

// Relay is how the peers of a job reach a TURN server.
type Relay interface {
	// ICEServers returns what is good for the job, for as long as life.
	ICEServers(jobID string, life time.Duration) []api.ICEServer
}

// iceServers are the ICE servers for the peers of a job. Credentials outlive
// the session a little, because a TURN server asks for them again and again.
func (s *Server) iceServers(g *grant.Grant) []api.ICEServer {
	if s.cfg.Relay == nil {
		return s.cfg.ICEServers
	}
	own := s.cfg.Relay.ICEServers(g.JobID, sessionOf(g)+10*time.Minute)
	return append(own, s.cfg.ICEServers...)
}
