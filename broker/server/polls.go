package server

import (
	"net/http"

	"github.com/farforge/farforge/broker/login"
	"github.com/farforge/farforge/broker/rendezvous"
	"github.com/farforge/farforge/common/api"
)

// poll serves POST /agents/poll: it blocks until a job comes.
func (s *Server) poll(w *response, r *http.Request) error {
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
	s.places.sawAgent(who.Fingerprint, s.placeOf(r))
	if err := s.cfg.Directory.Update(who.Fingerprint, status, s.now()); err != nil {
		s.cfg.Logger.Warn("an agent's sealing key is not its own; clients are not told of it", "agent", who.Name, "err", err)
	}
	if status.Draining {
		s.meet.Leave(who.Fingerprint)
		w.result = "agent_draining"
		w.empty()
		return nil
	}
	if s.draining.Load() {
		return drainingProblem()
	}
	hold(w, held)
	parked, listed := s.cfg.Directory.Park(who.Fingerprint)
	if !listed {
		return loginProblem(login.ErrUnlisted)
	}
	job, err := s.meet.Park(r.Context(), rendezvous.Poll{
		Agent: who.Fingerprint,
		Free:  s.free(who.Fingerprint),
		Wait:  held, Gone: parked.Gone(),
	})
	s.leaves(parked, err != nil && r.Context().Err() != nil)
	if _, listed := s.cfg.Directory.Lookup(who.Fingerprint); !listed {
		// It was revoked while it waited. A job that just came goes to another.
		if job != nil {
			job.HandBack()
		}
		return loginProblem(login.ErrUnlisted)
	}
	if fresh := s.login.RenewAgent(session, who.Fingerprint); fresh != "" {
		w.Header().Set(api.SessionHeader, fresh)
	}
	switch {
	case err == rendezvous.ErrDraining, err == nil && job == nil:
		w.result = "nothing"
		w.empty()
		return nil
	case err != nil:
		return meetProblem(err)
	}
	if err := s.handOver(w, who.Fingerprint, job); err != nil {
		s.cfg.Accounts.Wait(job.Offer.JobID, s.now())
		job.HandBack()
		if w.status != 0 { // it was on its way
			s.vanished(parked)
		}
		return err
	}
	return nil
}

// handOver sends the job to its agent. A grant that waited long is renewed:
// the agent must not find it expired.
func (s *Server) handOver(w *response, agent string, job *rendezvous.Assignment) error {
	token := job.Offer.Token
	if job.Offer.Grant.ExpiresAt.Sub(s.now()) < api.GrantLife/2 {
		var err error
		if token, _, err = s.renew(job.Offer.Grant); err != nil {
			return err
		}
	}
	s.cfg.Accounts.Claim(job.Offer.JobID, agent, s.now())
	s.mail.Claim(job.Offer.JobID, agent)
	w.result = "job"
	return w.json(http.StatusOK, &api.Job{
		JobID: job.Offer.JobID, Grant: token, Offer: job.Offer.Body,
		ICEServers: s.iceServers(job.Offer.Grant), AnswerBy: job.AnswerBy.UTC(),
		SameNetwork: s.places.together(job.Offer.JobID, agent),
	})
}
