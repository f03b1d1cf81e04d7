package server

import (
	"errors"
	"net/http"
	"time"

	"github.com/farforge/farforge/broker/rendezvous"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
)

// takeRoom counts the offer for its user. fresh tells that it was not counted
// before.
func (s *Server) takeRoom(g *grant.Grant) (fresh bool, err error) {
	now := s.now()
	user, ok := s.cfg.Users.Still(g.Subject, now)
	if !ok {
		s.metrics.refused("not_allowed")
		return false, problem(http.StatusForbidden, api.CodeForbidden, "the user of this grant may not use this broker any more")
	}
	fresh, refusal := s.cfg.Accounts.Offer(user.ID, g.JobID, user.Limits, sessionOf(g), now)
	if refusal != nil {
		return false, s.quotaProblem(refusal)
	}
	return fresh, nil
}

// leaveRoom is told how the offer ended, and gives the room back unless the job
// goes on: with an agent, or at the client's next try.
func (s *Server) leaveRoom(g *grant.Grant, fresh bool, err error) {
	var waiting *rendezvous.WaitingError
	switch {
	case err == nil, errors.Is(err, rendezvous.ErrCollected):
		s.cfg.Accounts.Answered(g.JobID)
	case errors.As(err, &waiting):
		if s.anyAlive(g.Agents) {
			s.cfg.Accounts.Wait(g.JobID, s.now())
		} else {
			s.cfg.Accounts.Drop(g.JobID)
		}
	case errors.Is(err, rendezvous.ErrDraining):
		s.cfg.Accounts.Wait(g.JobID, s.now())
	case errors.Is(err, rendezvous.ErrNoAnswer):
		s.cfg.Accounts.Drop(g.JobID)
	case errors.Is(err, rendezvous.ErrAlreadyOffered), errors.Is(err, rendezvous.ErrFull):
		if fresh { // else the room is another offer's of the same job
			s.cfg.Accounts.Drop(g.JobID)
		}
	}
	// A newer request for the job, or the same client again, goes on with the
	// room; if none comes it is given back by itself.
}

// ended gives the room of a job back that its agent has reported. An agent that
// did not take the job, or failed, costs its user nothing, and the job may go
// on with another agent. What agents report of others' jobs changes nothing.
func (s *Server) ended(rep *api.Report, agent string) {
	if rep.Outcome != api.OutcomeRefused && rep.Outcome != api.OutcomeAgentFailed {
		s.cfg.Accounts.End(rep.JobID, agent, s.now())
		return
	}
	// First, as the next agent may claim the job before Refuse returns.
	was := s.cfg.Accounts.Refused(rep.JobID, agent, s.now())
	// Not worth waiting for an answer that will not come.
	s.meet.Refuse(rep.JobID, agent, rep.Outcome == api.OutcomeAgentFailed)
	if was && !s.meet.Pending(rep.JobID) {
		s.cfg.Accounts.Drop(rep.JobID)
	}
}

func sessionOf(g *grant.Grant) time.Duration { return time.Duration(g.SessionSecs) * time.Second }
