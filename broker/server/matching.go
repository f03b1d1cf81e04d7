package server

import (
	"crypto/hkdf"
	"crypto/sha256"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/ledger"
	"github.com/farforge/farforge/broker/rendezvous"
	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
)

// matching tells the scheduler what polls, claims, answers and reports say.
//
//	poll ──▶ seen ─────────────┐
//	offer ──▶ queued ──────────┤
//	job handed over ▶ claimed ─┤
//	answer ──▶ answered ───────┼──▶ scheduler.Farm ──▶ choose ──▶ grant/request
//	no answer ──▶ late ────────┤
//	report ──▶ reported ───────┘──▶ history
type matching struct {
	farm *scheduler.Farm
	// claims are what agents have taken on, by job and agent: only who has
	// claimed a job is believed about it, and about the time since.
	claims *recent[claim]
	// lines are the jobs that wait, by job: each a *line.
	lines sync.Map
	// chosen are the choices for the last jobs, to explain them.
	chosen *recent[choice]
}

type claim struct {
	need    scheduler.Need
	session time.Duration
	at      time.Time
}

// choice is why a job's candidates are what they are.
type choice struct {
	need   scheduler.Need
	ranked []scheduler.Ranked
	at     time.Time
}

func newMatching(secret []byte) *matching {
	key, err := hkdf.Key(sha256.New, secret, nil, "farforge: keys of projects", 32)
	if err != nil {
		panic(err) // only for lengths that 32 is not
	}
	return &matching{farm: scheduler.NewFarm(key), claims: newRecent[claim](1 << 15), chosen: newRecent[choice](1 << 11)}
}

// remember takes in what was learned before the start, of agents that are
// listed still.
func (s *Server) remember() error {
	if s.cfg.History == nil {
		return nil
	}
	results, unread, err := s.cfg.History.Results()
	if err != nil {
		return err
	}
	if unread > 0 {
		s.cfg.Logger.Warn("some of the history is damaged or of another version; it is left out", "results", unread)
	}
	for _, r := range results {
		if _, listed := s.cfg.Directory.Lookup(r.Agent); listed {
			s.match.farm.Learn(r)
		}
	}
	return nil
}

// seen passes on what the directory knows of an agent by now, or is about to
// know if it is about to be parked.
func (s *Server) seen(agent string, parking bool) {
	if a, ok := s.cfg.Directory.Agent(agent); ok {
		a.Parked = a.Parked || parking
		s.match.farm.Saw(a, s.now())
	}
}

// choose returns the candidates for a job, best first, or which need is unmet.
func (s *Server) choose(n scheduler.Need, now time.Time) ([]scheduler.Ranked, *scheduler.Unmet) {
	o := scheduler.Options{Now: now, Grace: s.cfg.AgentGrace, Max: s.cfg.MaxCandidates, Seed: rand.Uint64()}
	ranked := s.match.farm.Choose(n, o)
	// The list of agents may have changed since their last polls.
	valid := ranked[:0]
	for _, r := range ranked {
		if a, ok := s.cfg.Directory.Agent(r.Fingerprint); ok && allowed(&a, &n) {
			valid = append(valid, r)
		}
	}
	if len(valid) == 0 {
		return nil, scheduler.Explain(s.cfg.Directory.Snapshot(), n, o)
	}
	return valid, nil
}

// allowed tells whether the operator lets the agent build what is needed. A job
// for any target may not go to an agent that may not build for any.
func allowed(a *directory.Agent, n *scheduler.Need) bool {
	if n.Target == "" {
		return len(a.Targets) == 0
	}
	return a.MayBuild(n.Target)
}

// free is what the agent may be given: no more than it says, and nothing that
// is promised to a job of which it cannot know yet.
func (s *Server) free(agent string) rendezvous.Capacity {
	c := s.match.farm.Free(agent, s.now())
	return rendezvous.Capacity{Cores: c.Cores, MemoryMB: c.MemoryMB}
}

// needOf is what the job of a grant asks for. Grants are the broker's own, so
// that they hold together.
func needOf(g *grant.Grant) scheduler.Need {
	n, err := scheduler.NeedOf(&api.GrantRequest{
		Target: g.Target, Toolchain: g.Toolchain, Project: g.Project, CPUCores: g.CPUCores, MemoryMB: g.MemoryMB,
	})
	if err != nil {
		panic(err) // nobody else can sign one
	}
	return n
}

// line is a job that waits in its candidates' lines until left is called.
type line struct{ left func() }

// queued counts the job as one that waits, until it is claimed or leave is
// called.
func (s *Server) queued(g *grant.Grant) (leave func()) {
	s.match.farm.Queue(g.Agents, 1)
	l := &line{sync.OnceFunc(func() { s.match.farm.Queue(g.Agents, -1) })}
	s.match.lines.Store(g.JobID, l)
	return func() {
		s.match.lines.CompareAndDelete(g.JobID, l)
		l.left()
	}
}

// claimed reserves what the job needs, until it is answered or late.
func (s *Server) claimed(job *rendezvous.Assignment, agent string) {
	if l, ok := s.match.lines.Load(job.Offer.JobID); ok {
		l.(*line).left()
	}
	now := s.now()
	c := claim{needOf(job.Offer.Grant), sessionOf(job.Offer.Grant), now}
	s.match.claims.first(job.Offer.JobID+agent, c)
	ok := s.match.farm.Reserve(agent, ledger.Reservation{
		Job: job.Offer.JobID, Need: ledger.Capacity{Cores: c.need.Cores, MemoryMB: c.need.MemoryMB},
		Since: now, Until: now.Add(s.cfg.AnswerTimeout + time.Second),
		Done: now.Add(s.match.farm.Expect(agent, c.need, now)),
	})
	if !ok { // a newer status says less than the poll that took it; the agent refuses
		s.cfg.Logger.Debug("a job was claimed that the ledger has no room for")
	}
}

// answered keeps what is reserved until the session's end.
func (s *Server) answered(job, agent string) {
	if c, ok := s.match.claims.of(job + agent); ok {
		s.match.farm.Answered(agent, job, s.now(), c.at.Add(c.session+time.Minute))
	}
}

// late is called for each claim that was not answered in time.
func (s *Server) late(job, agent string) {
	s.match.farm.Release(agent, job, s.now())
	if c, ok := s.match.claims.of(job + agent); ok {
		s.learn(&c, agent, scheduler.Failed)
	}
}

// reportedOn learns from how a job ended, of an agent that has claimed it. How
// long it took is by the broker's own clock, so that nobody can boast.
func (s *Server) reportedOn(rep *api.Report, agent string) {
	s.match.farm.Release(agent, rep.JobID, s.now())
	c, ok := s.match.claims.of(rep.JobID + agent)
	if !ok {
		return
	}
	switch rep.Outcome {
	case api.OutcomeSucceeded:
		s.learn(&c, agent, scheduler.Built)
	case api.OutcomeBuildFailed, api.OutcomeCanceled:
		s.learn(&c, agent, scheduler.Worked)
	case api.OutcomeAgentFailed:
		s.learn(&c, agent, scheduler.Failed)
	}
	// Whose fault the others are, nobody knows.
}

func (s *Server) learn(c *claim, agent string, v scheduler.Verdict) {
	now := s.now()
	r := scheduler.Result{
		Agent: agent, Target: c.need.Target, Toolchain: c.need.Toolchain.Name, Project: s.match.farm.ProjectKey(c.need.Project),
		Verdict: v, Took: max(now.Sub(c.at), 0), At: now,
	}
	s.match.farm.Learn(r)
	if s.cfg.History == nil {
		return
	}
	if err := s.cfg.History.Add(r); err != nil {
		s.cfg.Logger.Error("a result is not kept over the next restart", "err", err)
	}
}
