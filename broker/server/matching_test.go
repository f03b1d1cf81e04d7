package server

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/history"
	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/common/api"
)

// build plays one job to its end: the agent answers, works and reports, and the
// client confirms.
func (b *broker) build(a *agent, project string, took time.Duration, outcome api.Outcome) {
	b.t.Helper()
	g := b.begin(a, "", func(r *api.GrantRequest) { r.Project = project })
	b.clock.pass(took)
	b.login(a) // its session may have expired meanwhile
	b.report(a, g.JobID, outcome)
	as[struct{}](b.t, b.confirm(g, a, outcome, 0), 204)
}

// begin plays one job until the client has the agent's answer.
func (b *broker) begin(a *agent, token string, change func(*api.GrantRequest)) api.GrantResponse {
	b.t.Helper()
	b.login(a) // its session may have expired meanwhile
	poll := b.park(b.t.Context(), a)
	req := grantRequest()
	req.Agents = []string{a.name}
	change(req)
	g := as[api.GrantResponse](b.t, b.post(api.PathGrantRequest, token, req), 200)
	b.meet(g, a, poll)
	return g
}

// confirm sends the client's confirmation of a job that the agent has answered.
func (b *broker) confirm(g api.GrantResponse, a *agent, outcome api.Outcome, ms int64) reply {
	b.t.Helper()
	return b.post(pathOf(api.PathConfirmation, g.JobID), g.Grant, &api.Confirmation{Agent: a.key.Fingerprint(), Outcome: outcome, DurationMS: ms})
}

func (b *broker) firsts(project string) map[string]int {
	first := map[string]int{}
	for range 40 {
		req := grantRequest()
		req.Project = project
		g := as[api.GrantResponse](b.t, b.post(api.PathGrantRequest, "", req), 200)
		first[g.Candidates[0].Name]++
	}
	return first
}

// TestLearnsFromJobs has three agents, one slow, one that fails, one that is warm,
// and a restart of the broker.
func TestLearnsFromJobs(t *testing.T) {
	w := newWorld(t)
	agents := map[string]*agent{}
	for _, name := range []string{"slow", "broken", "warm"} {
		agents[name] = w.listAgent(name)
	}
	path := filepath.Join(t.TempDir(), "history.db")
	var store *history.Store
	w.adjust = func(c *Config) {
		var err error
		if store, err = history.Open(path, time.Now()); err != nil {
			t.Fatal(err)
		}
		c.History, c.Services = store, &Services{Token: adminToken, Agents: new(directory.File)}
	}
	b := w.start()
	for _, a := range agents {
		b.login(a)
	}
	const ours = "5f3c"
	for i := range 6 {
		b.build(agents["slow"], fmt.Sprint("other", i), 90*time.Second, api.OutcomeSucceeded)
		b.build(agents["warm"], ours, 30*time.Second, api.OutcomeSucceeded)
		b.build(agents["slow"], "x", time.Second, api.OutcomeBuildFailed) // which says nothing about the agent
	}
	for range 4 {
		b.build(agents["broken"], "x", time.Second, api.OutcomeAgentFailed)
	}
	check := func(when string) {
		t.Helper()
		for _, a := range agents {
			b.login(a)
			b.park(t.Context(), a)
		}
		if got := b.firsts(ours); got["warm"] < 30 {
			t.Errorf("%s, first of 40: %v", when, got)
		}
		if got := b.firsts("new"); got["broken"] > 1 {
			t.Errorf("%s, first of 40 for a new project: %v", when, got)
		}
	}
	check("at once")
	g := b.grant()
	e := as[struct {
		Candidates []struct {
			Name     string
			Duration float64 `json:"duration_seconds"`
			Success  float64
			Resting  bool
		}
	}](t, b.send(t.Context(), "GET", "/services/jobs/"+g.JobID, adminToken, nil), 200)
	if len(e.Candidates) != 3 || e.Candidates[2].Name != "broken" || !e.Candidates[2].Resting || e.Candidates[0].Duration < 5 || e.Candidates[0].Success < 0.8 {
		t.Errorf("explained: %+v", e)
	}
	wantProblem(t, b.send(t.Context(), "GET", "/services/jobs/"+someJob, adminToken, nil), 404, api.CodeUnknownJob)

	b.kill()
	_ = b.wait()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	b = w.start()
	check("after a restart")
	b.kill()
	_ = b.wait()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestLateAgentsAreRemembered: a claim without an answer counts as a failure.
func TestLateAgentsAreRemembered(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("silent")
	w.adjust = func(c *Config) { c.AnswerTimeout = 20 * time.Millisecond }
	b := w.start()
	b.login(a)
	for range 4 {
		poll := b.park(t.Context(), a)
		offer := b.offer(t.Context(), b.grant(), "")
		as[api.Job](t, <-poll, 200)
		wantProblem(t, <-offer, 504, api.CodeNoAnswer)
	}
	b.park(t.Context(), a)
	if got := b.chosen(); len(got) != 1 || !got[0].Resting {
		t.Errorf("%+v", got)
	}
	if m := string(b.send(t.Context(), "GET", api.PathMetrics, "", nil).body); !strings.Contains(m, "\nfarforge_broker_agents_resting 1\n") || !strings.Contains(m, "\nfarforge_broker_reservations 0\n") {
		t.Errorf("metrics:\n%s", m)
	}
	if c := b.srv.info(t, a.key.Fingerprint()); c.FreeCores != 4 {
		t.Errorf("%d of 4 cores are free after late claims", c.FreeCores)
	}
}

// TestStatusesThatCrossAClaimOversellNothing: a newer poll of the agent has a status
// from before the job that it has just claimed.
func TestStatusesThatCrossAClaimOversellNothing(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.login(a)
	poll := b.park(t.Context(), a)
	req := grantRequest()
	req.CPUCores = 3
	big := func() api.GrantResponse {
		return as[api.GrantResponse](t, b.post(api.PathGrantRequest, "", req), 200)
	}
	first := big()
	offer := b.offer(t.Context(), first, "")
	as[api.Job](t, <-poll, 200)
	crossed := b.park(t.Context(), a) // its status has 4 of 4 cores free
	second := b.offer(t.Context(), big(), "?wait=1")
	as[api.Waiting](t, <-second, 202)
	if r := b.answer(a, first.JobID); r.status != 204 {
		t.Fatalf("answer: %d %s", r.status, r.body)
	}
	wantAnswer(t, offer, a)
	b.park(t.Context(), a) // a status from after the answer, without the job: it is over
	as[any](t, <-crossed, 204)
	third := b.offer(t.Context(), big(), "?wait=5")
	b.until("the agent has the third job", func() bool { return b.srv.board.Stats().Claims == 2 })
	_ = third
}

// TestWaitingJobsAreSeen: an agent with a line is expected to take longer, until the
// jobs in it are gone.
func TestWaitingJobsAreSeen(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.login(a)
	full := idleStatus()
	full.FreeCores = 0
	b.goPost(t.Context(), api.PathAgentPoll, a.session, full)
	b.until("the agent is parked", func() bool { return b.srv.board.Stats().Parked == 1 })
	expected := func() float64 {
		return b.chosen()[0].Wait
	}
	alone := expected() // for the jobs that fill the agent, whose durations are unknown
	offer := b.offer(t.Context(), b.grant(), "?wait=1")
	b.until("the offer waits", func() bool { return b.srv.board.Stats().Queued == 1 })
	if wait := expected(); wait < alone+5 {
		t.Errorf("%v s to wait behind another, %v s alone", wait, alone)
	}
	as[api.Waiting](t, <-offer, 202)
	if wait := expected(); math.Abs(wait-alone) > 1 {
		t.Errorf("%v s to wait when the other has gone, %v s before", wait, alone)
	}
}

// chosen returns the candidates that the broker chooses for grantRequest now.
func (b *broker) chosen() []api.Explained {
	b.t.Helper()
	req := grantRequest()
	req.Explain = true
	return as[api.GrantResponse](b.t, b.post(api.PathGrantRequest, "", req), 200).Explanation
}

// info returns what users may know about a listed agent.
func (s *Server) info(t testing.TB, fingerprint string) *api.AgentInfo {
	t.Helper()
	a, ok := s.cfg.Directory.Agent(fingerprint)
	if !ok {
		t.Fatalf("%s is not listed", fingerprint)
	}
	return s.board.AgentInfo(&a, &scheduler.Need{})
}

// reading returns a metric without labels.
func (s *Server) reading(t testing.TB, name string) float64 {
	t.Helper()
	families, err := s.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "farforge_broker_"+name {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}
