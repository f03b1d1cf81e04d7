package server

import (
	"time"

	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
)

// met notes whose answer the job's client is about to get: of that agent, and of
// no other, it can tell how the job ended.
func (s *Server) met(jobID string) {
	agent, _ := s.meet.Holder(jobID)
	if c, ok := s.match.claims.of(jobID + agent); ok {
		c.answer()
	}
}

// late is called for each claim that was not answered in time.
func (s *Server) late(job, agent string) {
	if c, ok := s.match.claims.of(job + agent); ok {
		s.learn(c, agent, c.late(), s.now().Sub(c.at))
	}
}

// reportedOn takes in how a job ended, in the words of an agent that has claimed
// it.
func (s *Server) reportedOn(rep *api.Report, agent string) {
	if c, ok := s.match.claims.of(rep.JobID + agent); ok {
		s.learn(c, agent, c.report(rep.Outcome), s.now().Sub(c.at))
	}
}

// confirmed takes in how a job ended, in the words of its client. It does not
// free what is reserved: the agent may be at work still.
//
// The time is what the client says, but not more than what the broker has seen:
// an agent that reports early does not seem faster for it.
func (s *Server) confirmed(g *grant.Grant, word *api.Confirmation) confirming {
	c, ok := s.match.claims.of(g.JobID + word.Agent)
	if !ok {
		return unanswered
	}
	now := s.now()
	what, v := c.confirm(word.Outcome, func() bool {
		return s.match.accused.renew(g.Subject+"\n"+word.Agent, now, func(last time.Time) bool { return now.Sub(last) >= accusationGap })
	})
	took := now.Sub(c.at)
	if told := word.DurationMS; told > 0 && told < took.Milliseconds() {
		took = time.Duration(told) * time.Millisecond
	}
	s.learn(c, word.Agent, v, took)
	return what
}

// learn passes on what a job of a listed agent says of it.
func (s *Server) learn(c *claim, agent string, v scheduler.Verdict, took time.Duration) {
	if _, listed := s.cfg.Directory.Lookup(agent); v == 0 || !listed {
		return
	}
	r := scheduler.Result{
		Agent: agent, Target: c.need.Target, Toolchain: c.need.Toolchain.Name, Project: s.match.farm.ProjectKey(c.need.Project),
		Verdict: v, Warmth: c.warmth, Took: max(took, 0), At: s.now(),
	}
	s.match.farm.Learn(r)
	if v == scheduler.Built {
		s.metrics.stages.learned(took, c.expected)
	}
	if s.cfg.History == nil {
		return
	}
	if err := s.cfg.History.Add(r); err != nil {
		s.cfg.Logger.Error("a result is not kept over the next restart", "err", err)
	}
}
