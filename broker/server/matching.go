package server

import (
	"crypto/hkdf"
	"crypto/sha256"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/grant"
)

// matching tells the scheduler what polls, claims, answers, reports and
// confirmations say.
//
//	poll ──▶ sees ─────────────┐
//	offer ──▶ queued ──────────┤
//	claim ──▶ reserve ─────────┤
//	answer ──▶ answered ───────┼──▶ scheduler.Farm ──▶ choose ──▶ grant/request
//	no answer ──▶ unreserve ───┤
//	time is over ──▶ late ─────┤
//	report ──▶ reportedOn ─────┤
//	confirmation ▶ confirmed ──┘──▶ history
type matching struct {
	farm *scheduler.Farm
	// claims are what agents have taken on, by job and agent: only of a job that
	// an agent has claimed here anything is learned, and of the time since.
	claims *recent[*claim]
	// accused is when a user's bad word about an agent last counted for others,
	// and shunned when the last one came, by both; zero: it does not count any more.
	accused, shunned *recent[time.Time]
	// lines are the jobs that wait, by job: each a *line.
	lines sync.Map
	// chosen are the choices for the last jobs, to explain them.
	chosen *recent[choice]
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
	return &matching{
		farm: scheduler.NewFarm(key), claims: newRecent[*claim](1 << 15),
		accused: newRecent[time.Time](1 << 13), shunned: newRecent[time.Time](1 << 13), chosen: newRecent[choice](1 << 11),
	}
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

// choose returns the candidates for a job, best first, or which need is unmet.
func (s *Server) choose(n scheduler.Need, now time.Time) ([]scheduler.Ranked, *scheduler.Unmet) {
	o := scheduler.Options{Now: now, Grace: s.cfg.AgentGrace, Max: s.cfg.MaxCandidates, Seed: rand.Uint64()}
	start := time.Now()
	ranked := s.match.farm.Choose(n, o)
	s.metrics.stages.choice.Observe(time.Since(start).Seconds())
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
func (s *Server) free(agent string) capacity.Capacity {
	return s.cfg.Directory.Free(agent, s.now())
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

// answered keeps what is reserved until the session's end.
func (s *Server) answered(job, agent string) {
	if c, ok := s.match.claims.of(job + agent); ok {
		if c.answers() {
			s.metrics.stages.answer.Observe(s.now().Sub(c.at).Seconds())
			s.metrics.stages.whole.Observe(time.Since(c.offered).Seconds())
		}
		s.cfg.Directory.Answer(agent, job, c.at.Add(c.session+time.Minute))
	}
}
