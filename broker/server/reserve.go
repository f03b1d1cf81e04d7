package server

import (
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/rendezvous"
	"github.com/farforge/farforge/common/api"
)

// A claim and its reservation are one: the meeting point asks before it makes
// the claim and tells when it ends, each time under its own locks, so that no
// two polls of an agent are given the same core. Once the claim is answered, the
// reservation lives on by itself, until the report or the session's end.

// reserve sets aside what the job needs, until it is answered or the claim ends.
// It returns false if the agent has too little: its latest status or another
// claim of a moment ago says less than its poll did.
func (s *Server) reserve(c rendezvous.Claim) bool {
	g, now := c.Offer.Grant, s.now()
	need := needOf(g)
	expected := s.match.farm.Expect(c.Agent, need, now)
	if !s.cfg.Directory.Reserve(c.Agent, directory.Reservation{
		Job: g.JobID, Need: need.Capacity,
		Since: now, Until: now.Add(s.cfg.AnswerTimeout + time.Second), Done: now.Add(expected),
	}) {
		return false
	}
	s.metrics.stages.claimed(&c)
	if l, ok := s.match.lines.Load(g.JobID); ok {
		l.(*line).left()
	}
	s.match.claims.renew(g.JobID+c.Agent, &claim{
		need: need, session: sessionOf(g), at: now, offered: c.Offered, expected: expected, warmth: s.match.farm.Warmth(c.Agent, need),
	}, (*claim).handedBack)
	return true
}

// unreserve ends the reservation of a claim that ends without an answer.
func (s *Server) unreserve(job, agent string) {
	s.cfg.Directory.Drop(agent, job, s.now())
}

// release ends the reservation of a job that its agent has reported, and tells
// whether it is the first report of it. A repeated one must change nothing: an
// agent that has refused a job may have taken it on since, and then it reports
// its end once more. It may also refuse a job because it is at it already, since
// before this broker was started; so what its status counts stays counted.
func (s *Server) release(rep *api.Report, agent string) (first bool) {
	report, end := rep.JobID+agent, s.cfg.Directory.Release
	if rep.Outcome == api.OutcomeRefused {
		report, end = report+" refused", s.cfg.Directory.Drop
	}
	if !s.reported.first(report, struct{}{}) {
		return false
	}
	end(agent, rep.JobID, s.now())
	return true
}
