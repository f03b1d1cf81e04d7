package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/farforge/farforge/broker/rendezvous"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/grant"
)

// offer serves POST /signaling/{job_id}/offer: it blocks until the answer.
func (s *Server) offer(w *response, r *http.Request) error {
	token, g, err := s.grantOf(r, 0)
	if err != nil {
		return err
	}
	// A claim may outlive the wait by the time to answer, and both together
	// stay within what a request may be held.
	most := max(s.cfg.MaxWait-s.cfg.AnswerTimeout, 0)
	held, err := wait(r, most)
	if err != nil {
		return err
	}
	body, err := readOpaque(w, r, "offer")
	if err != nil {
		return err
	}
	if s.cfg.RequireSealed && !envelope.Sealed(body) {
		return problem(http.StatusForbidden, api.CodeForbidden, "the offer is in plain text, and this broker passes on only sealed ones",
			"seal it with age to the candidates' sealing keys, as farforge's own client does")
	}
	fresh, err := s.takeRoom(g)
	if err != nil {
		return err
	}
	hold(w, held+s.cfg.AnswerTimeout)
	s.mail.Touch(g.JobID)
	start := time.Now()
	leave := s.queued(g)
	answer, err := s.meet.Offer(r.Context(), rendezvous.Offer{
		JobID: g.JobID, Client: g.PeerFingerprint, User: g.Subject, Token: token, Grant: g, Body: body,
		Need:       capacity.Capacity{Cores: g.CPUCores.Whole(), MemoryMB: g.MemoryMB},
		Candidates: g.Agents, Wait: held,
	})
	leave()
	s.leaveRoom(g, fresh, err)
	var waiting *rendezvous.WaitingError
	switch {
	case err == nil:
		s.met(g.JobID)
		s.metrics.match.Observe(time.Since(start).Seconds())
		w.result = "answered"
		return w.send(http.StatusOK, api.TypeOpaque, answer)
	case errors.As(err, &waiting):
		if !s.anyAlive(g.Agents) {
			return after(problem(http.StatusServiceUnavailable, api.CodeNoAgent,
				"the agents that were chosen for this job are not online any more", "request a new grant"), time.Second)
		}
		return s.stillWaiting(w, g, waiting.Position, pause(held))
	case errors.Is(err, rendezvous.ErrDraining):
		return s.stillWaiting(w, g, 0, retryDraining)
	default:
		return meetProblem(err)
	}
}

// pause is how long a client should let pass that was held before. While nobody
// asks for it, a job keeps its place but loses its turn, so that there is no pause
// after a wait that was long enough to be one.
func pause(held time.Duration) time.Duration {
	if held >= time.Second {
		return 0
	}
	return time.Second
}

// stillWaiting sends 202 with a fresh grant for the same job. A position of 0 is
// unknown.
func (s *Server) stillWaiting(w *response, g *grant.Grant, position int, retry time.Duration) error {
	token, fresh, err := s.renew(g)
	if err != nil {
		return err
	}
	waiting := &api.Waiting{
		Type: "about:blank", Title: http.StatusText(http.StatusAccepted), Status: http.StatusAccepted, Code: api.CodeQueued,
		Detail: "no agent has taken the job yet",
		JobID:  g.JobID, Grant: token, ExpiresAt: fresh.ExpiresAt, Position: position,
	}
	if position > 0 {
		waiting.Detail = fmt.Sprintf("all able agents are busy; the job is number %d in line", position)
		if start := s.match.farm.Start(g.Agents, needOf(g), position-1, s.now()); start > 0 {
			waiting.EstimateSecs = seconds(start)
		}
	}
	body, err := json.Marshal(waiting)
	if err != nil {
		return fmt.Errorf("write the response: %w", err)
	}
	w.result = "waiting"
	if retry > 0 {
		w.retryAfter(retry)
	}
	return w.send(http.StatusAccepted, api.TypeProblem, body)
}

// anyAlive tells whether one of the agents may still come for its job. Just
// after the start nobody has been seen yet, and everybody may.
func (s *Server) anyAlive(agents []string) bool {
	now := s.now()
	if now.Sub(s.started) < s.cfg.AgentGrace {
		return true
	}
	for _, id := range agents {
		if a, ok := s.cfg.Directory.Agent(id); ok && a.Alive(now, s.cfg.AgentGrace) {
			return true
		}
	}
	return false
}

// answer serves POST /signaling/{job_id}/answer.
func (s *Server) answer(w *response, r *http.Request) error {
	who, err := s.agentOf(r)
	if err != nil {
		return err
	}
	body, err := readOpaque(w, r, "answer")
	if err != nil {
		return err
	}
	if err := s.meet.Answer(r.PathValue("job_id"), who.Fingerprint, body); err != nil {
		return meetProblem(err)
	}
	s.answered(r.PathValue("job_id"), who.Fingerprint)
	w.empty()
	return nil
}
