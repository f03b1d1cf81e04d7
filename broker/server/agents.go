package server

import (
	"errors"
	"net/http"

	"github.com/oklog/ulid/v2"

	"github.com/farforge/farforge/broker/jobs"
	"github.com/farforge/farforge/broker/login"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// agents serves the requests of agents.
type agents struct{ *Server }

func (s agents) routes() []route {
	return []route{
		{http.MethodPost, api.PathAgentHello, "hello", s.limited(s.hello(s.login.Agents))},
		{http.MethodPost, api.PathAgentSession, "session", s.limited(s.session(s.login.Agents))},
		{http.MethodPost, api.PathAgentPoll, "poll", s.poll},
		{http.MethodPost, api.PathAnswer, "answer", s.answer},
		{http.MethodPost, api.PathAgentReport, "report", s.report},
	}
}

// poll serves POST /agents/poll: it blocks until the agent claims a job.
func (s agents) poll(w *response, r *http.Request) error {
	who, session, err := s.agentSession(r)
	if err != nil {
		return err
	}
	held, err := wait(r, s.cfg.MaxWait)
	if err != nil {
		return err
	}
	status := new(api.Status)
	if err := readJSON(w, r, status); err != nil {
		return err
	}
	hold(w, held)
	claim, err := s.board.Poll(r.Context(), jobs.Poll{Agent: who, Status: status, From: s.addressOf(r), Wait: held})
	switch {
	case errors.Is(err, jobs.ErrAgentDraining):
		w.result = "agent_draining"
		w.empty()
		return nil
	case errors.Is(err, jobs.ErrUnlisted):
		return loginProblem(login.ErrUnlisted)
	}
	if fresh := s.login.RenewAgent(session, who.Fingerprint); fresh != "" {
		w.Header().Set(api.SessionHeader, fresh)
	}
	if err != nil {
		return s.problemOf(err)
	}
	if claim == nil {
		w.result = "nothing"
		w.empty()
		return nil
	}
	job, err := claim.Job()
	if err != nil {
		claim.HandBack()
		return err
	}
	w.result = "job"
	if err := w.json(http.StatusOK, job); err != nil {
		claim.Lost()
		return err
	}
	return nil
}

// answer serves POST /signaling/{job_id}/answer.
func (s agents) answer(w *response, r *http.Request) error {
	who, _, err := s.agentSession(r)
	if err != nil {
		return err
	}
	body, err := readOpaque(w, r, "answer")
	if err != nil {
		return err
	}
	if err := s.board.Answer(r.PathValue("job_id"), who.Fingerprint, body); err != nil {
		return s.problemOf(err)
	}
	w.empty()
	return nil
}

// report serves POST /agents/report.
func (s agents) report(w *response, r *http.Request) error {
	who, _, err := s.agentSession(r)
	if err != nil {
		return err
	}
	var rep api.Report
	if err := readJSON(w, r, &rep); err != nil {
		return err
	}
	if _, err := ulid.ParseStrict(rep.JobID); err != nil {
		return malformed("job_id: not a ULID")
	}
	if err := identity.Verify(who.Key, identity.NamespaceReport, rep.SignedBytes(), rep.Signature); err != nil {
		return problem(http.StatusUnauthorized, api.CodeBadSignature, "the report is not signed by the agent's key")
	}
	if err := s.board.Report(who.Fingerprint, &rep); err != nil {
		return s.problemOf(err)
	}
	w.empty()
	return nil
}
