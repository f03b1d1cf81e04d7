package server

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/history"
	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
)

// school is a broker with a history that a test can read.
type school struct {
	*broker
	store *history.Store
}

func (w *world) startSchool() *school {
	w.t.Helper()
	store, err := history.Open(filepath.Join(w.t.TempDir(), "history.db"), time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	adjust := w.adjust
	w.adjust = func(c *Config) { adjust(c); c.History = store }
	s := &school{w.start(), store}
	w.t.Cleanup(func() {
		s.kill()
		if err := s.wait(); err == nil {
			w.t.Error("the broker ended too early")
		}
		if err := store.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return s
}

// lessons returns the results in the history, with their durations in seconds.
func (s *school) lessons() (all []string) {
	s.t.Helper()
	results, _, err := s.store.Results()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range results {
		what := map[scheduler.Verdict]string{scheduler.Built: "built", scheduler.Failed: "failed"}[r.Verdict]
		all = append(all, fmt.Sprintf("%s %.0f", what, r.Took.Seconds()))
	}
	return all
}

func (s *school) learned(want ...string) {
	s.t.Helper()
	if got := s.lessons(); fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Errorf("the broker has learned %v, want %v", got, want)
	}
}

func asIs(*api.GrantRequest) {}

// TestReportsAndConfirmationsTeach plays reports and confirmations, one after the
// other, and checks the results that the broker learns from them.
func TestReportsAndConfirmationsTeach(t *testing.T) {
	const ok, lost, fail, bad = api.OutcomeSucceeded, api.OutcomeLost, api.OutcomeAgentFailed, api.OutcomeBuildFailed
	type statement struct {
		agent   bool
		outcome api.Outcome
		ms      int64 // the client's
	}
	for _, tt := range []struct {
		name  string
		plays []statement // 10 s between them
		want  []string
	}{
		{"both report success", []statement{{true, ok, 0}, {false, ok, 0}}, []string{"built 20"}},
		{"the client confirms first", []statement{{false, ok, 0}, {true, ok, 0}}, []string{"built 10"}},
		{"the client's clock", []statement{{true, ok, 0}, {false, ok, 4000}}, []string{"built 4"}},
		{"longer than the broker has seen", []statement{{false, ok, 90_000}}, []string{"built 10"}},
		{"longer than any duration", []statement{{false, ok, 1 << 62}}, []string{"built 10"}},
		{"an early report makes the agent no faster", []statement{{true, ok, 0}, {true, ok, 0}, {true, ok, 0}, {false, ok, 0}}, []string{"built 40"}},
		{"the agent alone reports success", []statement{{true, ok, 0}}, nil},
		{"the agent alone reports a compile error", []statement{{true, bad, 0}}, nil},
		{"a compile error", []statement{{true, bad, 0}, {false, bad, 0}}, nil},
		{"a compile error, and then the agent reports its failure", []statement{{false, bad, 0}, {true, fail, 0}}, []string{"failed 20"}},
		{"the agent reports its failure", []statement{{true, fail, 0}}, []string{"failed 10"}},
		{"the agent reports its failure, and the client confirms it", []statement{{true, fail, 0}, {false, fail, 0}}, []string{"failed 10"}},
		{"the client reports the failure, and the agent, too", []statement{{false, fail, 0}, {true, fail, 0}}, []string{"failed 10"}},
		{"the client confirms success, the agent reports failure", []statement{{true, fail, 0}, {false, ok, 0}}, []string{"failed 10"}},
		{"the client reports a failure, the agent success", []statement{{true, ok, 0}, {false, fail, 0}}, []string{"failed 20"}},
		{"they lose each other", []statement{{true, lost, 0}, {false, lost, 0}}, []string{"failed 20"}},
		{"the user cancels", []statement{{false, api.OutcomeCanceled, 0}, {true, api.OutcomeCanceled, 0}}, nil},
		{"a refusal", []statement{{true, api.OutcomeRefused, 0}, {false, api.OutcomeRefused, 0}}, nil},
		{"the user's limit", []statement{{false, api.OutcomeTimedOut, 0}}, nil},
		{"the client confirms twice", []statement{{false, ok, 0}, {false, ok, 1}}, []string{"built 10"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			a := w.listAgent("bench-1")
			s := w.startSchool()
			g := s.begin(a, "", asIs)
			for _, p := range tt.plays {
				s.clock.pass(10 * time.Second)
				if p.agent {
					s.report(a, g.JobID, p.outcome)
				} else {
					as[struct{}](t, s.confirm(g, a, p.outcome, p.ms), 204)
				}
			}
			s.learned(tt.want...)
		})
	}
}

func TestConfirmationsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	a, other := w.listAgent("bench-1"), w.listAgent("bench-2")
	s := w.startSchool()
	ok := api.OutcomeSucceeded

	unoffered := s.begin(a, "", asIs) // this one is answered
	as[struct{}](t, s.confirm(unoffered, a, ok, 0), 204)
	unoffered = s.grant()
	wantProblem(t, s.confirm(unoffered, a, ok, 0), 404, api.CodeUnknownJob)

	poll := s.park(t.Context(), a)
	claimed := s.grant()
	offer := s.offer(t.Context(), claimed, "")
	as[api.Job](t, <-poll, 200)
	wantProblem(t, s.confirm(claimed, a, api.OutcomeLost, 0), 404, api.CodeUnknownJob) // not answered yet
	as[struct{}](t, s.answer(a, claimed.JobID), 204)
	wantAnswer(t, offer, a)

	wantProblem(t, s.confirm(claimed, other, ok, 0), 403, api.CodeForbidden)
	crossed := claimed
	crossed.Grant = unoffered.Grant
	wantProblem(t, s.confirm(crossed, a, ok, 0), 403, api.CodeForbidden)
	path := pathOf(api.PathConfirmation, claimed.JobID)
	confirmation := &api.Confirmation{Agent: a.key.Fingerprint(), Outcome: ok}
	wantProblem(t, s.post(path, "", confirmation), 401, api.CodeUnauthorized)
	wantProblem(t, s.post(path, a.session, confirmation), 401, api.CodeBadToken)
	wantProblem(t, s.post(path, signWith(t, newKey(t), func(g *grant.Grant) { g.JobID = claimed.JobID }), confirmation), 401, api.CodeBadToken)
	for _, malformed := range []any{
		"x", &api.Confirmation{Outcome: ok}, &api.Confirmation{Agent: "SHA256:x", Outcome: "good"}, &api.Confirmation{Agent: "SHA256:x", Outcome: ok, DurationMS: -1},
	} {
		wantProblem(t, s.post(path, claimed.Grant, malformed), 400, api.CodeMalformed)
	}
	s.learned("built 0")

	as[struct{}](t, s.confirm(claimed, a, api.OutcomeBuildFailed, 0), 204)
	wantProblem(t, s.confirm(claimed, a, ok, 0), 409, api.CodeAlreadyConfirmed)
	as[struct{}](t, s.confirm(claimed, a, api.OutcomeBuildFailed, 0), 204)
	s.learned("built 0")
	m := string(s.send(t.Context(), "GET", api.PathMetrics, "", nil).body)
	for _, line := range []string{
		`farforge_broker_confirmations_total{outcome="succeeded"} 1`, `farforge_broker_confirmations_total{outcome="build_failed"} 1`,
	} {
		if !strings.Contains(m, line+"\n") {
			t.Errorf("metrics lack %s", line)
		}
	}
}

// The times of broker/jobs.
const (
	maxQueued     = time.Hour
	accusationGap = 10 * time.Minute
)

// signAgain signs the contents of a grant once more, so that the token is new to
// the broker.
func (w *world) signAgain(token string) string {
	w.t.Helper()
	g, err := grant.NewKeySet(w.key.Public().(ed25519.PublicKey)).Verify(token, time.Now(), time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.signGrant(func(again *grant.Grant) {
		*again = *g
		again.IssuedAt = g.IssuedAt.Add(-time.Second)
	})
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestConfirmationsOutliveTheirGrants: a grant is redeemed within seconds, and a
// build takes an hour.
func TestConfirmationsOutliveTheirGrants(t *testing.T) {
	for _, tt := range []struct {
		name   string
		after  time.Duration
		change func(*school, *agent, *api.GrantResponse)
		status int
		code   api.Code
	}{
		{name: "at the session's end", after: time.Hour, status: 204},
		{name: "too late", after: time.Hour + maxQueued + api.GrantLife, status: 410, code: api.CodeExpired},
		// The session of the grant counts, of one minute, not the longest that the
		// broker grants.
		{name: "too late for a short session", after: maxQueued + time.Minute + api.GrantLife, change: func(s *school, a *agent, g *api.GrantResponse) {
			*g = s.begin(a, "", asIs)
		}, status: 410, code: api.CodeExpired},
		{name: "a grant that another process signed", after: time.Hour, change: func(s *school, a *agent, g *api.GrantResponse) {
			g.Grant = s.signAgain(g.Grant)
		}, status: 204},
		{name: "that is too late", after: time.Hour + maxQueued + api.GrantLife, change: func(s *school, a *agent, g *api.GrantResponse) {
			g.Grant = s.signAgain(g.Grant)
		}, status: 410, code: api.CodeExpired},
		{name: "a key that has been rotated", after: 10 * time.Minute, change: func(s *school, a *agent, g *api.GrantResponse) {
			g.Grant = s.signAgain(g.Grant)
			fresh := newKey(s.t.(*testing.T))
			public := fresh.Public().(ed25519.PublicKey)
			if err := s.srv.UseKeys(grant.NewSigner(fresh), &grant.Published{Keys: grant.NewKeySet(public, s.key.Public().(ed25519.PublicKey))}); err != nil {
				s.t.Fatal(err)
			}
		}, status: 204},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			a := w.listAgent("bench-1")
			s := w.startSchool()
			g := s.begin(a, "", func(r *api.GrantRequest) { r.TimeoutSecs = 3600 })
			if tt.change != nil {
				tt.change(s, a, &g)
			}
			s.clock.pass(tt.after)
			r := s.confirm(g, a, api.OutcomeSucceeded, 0)
			if tt.status != 204 {
				wantProblem(t, r, tt.status, tt.code)
				s.learned()
				return
			}
			as[struct{}](t, r, 204)
			s.learned(fmt.Sprintf("built %.0f", tt.after.Seconds()))
		})
	}
}

func TestConfirmationThroughAMP(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	s := w.startSchool()
	g := s.begin(a, "", asIs)
	far := s.throughAMP()
	for range 2 { // a cache may request a page twice
		as[struct{}](t, far.confirm(g, a, api.OutcomeSucceeded, 0), 204)
	}
	wantProblem(t, far.confirm(g, a, api.OutcomeLost, 0), 409, api.CodeAlreadyConfirmed)
	s.learned("built 0")
}

// TestSlander: complaints of one user about an agent count once in ten minutes,
// unless the agent reports its own failure.
func TestSlander(t *testing.T) {
	c := newClub(t)
	eve, bob := c.key(users.Add{Name: "eve"}), c.key(users.Add{Name: "bob"})
	second := c.listAgent("bench-2")
	s := c.startSchool()
	confirmed := func(token string, a *agent, o api.Outcome) api.GrantResponse {
		t.Helper()
		g := s.begin(a, token, asIs)
		as[struct{}](t, s.confirm(g, a, o, 0), 204)
		return g
	}
	confirmed(eve, c.agent, api.OutcomeLost)
	confirmed(eve, c.agent, api.OutcomeAgentFailed)
	s.clock.pass(accusationGap - time.Second)
	confirmed(eve, c.agent, api.OutcomeLost)
	s.learned("failed 0")
	confirmed(bob, c.agent, api.OutcomeLost)
	confirmed(eve, second, api.OutcomeLost) // another agent
	s.learned("failed 0", "failed 0", "failed 0")
	confirmed(eve, c.agent, api.OutcomeSucceeded) // a success always counts
	s.clock.pass(time.Second)
	g := confirmed(eve, c.agent, api.OutcomeLost)
	s.learned("failed 0", "failed 0", "failed 0", "built 0", "failed 0")
	s.report(c.agent, g.JobID, api.OutcomeAgentFailed) // the complaint has counted
	s.learned("failed 0", "failed 0", "failed 0", "built 0", "failed 0")
	g = confirmed(eve, c.agent, api.OutcomeLost)
	s.report(c.agent, g.JobID, api.OutcomeAgentFailed)
	s.learned("failed 0", "failed 0", "failed 0", "built 0", "failed 0", "failed 0")
}

// TestOneUserPutsNoAgentToRest: the complaints of one user do not suffice.
func TestOneUserPutsNoAgentToRest(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	s := w.startSchool()
	for range 20 {
		g := s.begin(a, "", asIs)
		s.clock.pass(20 * time.Second)
		as[struct{}](t, s.confirm(g, a, api.OutcomeLost, 0), 204)
	}
	s.login(a)
	s.park(t.Context(), a)
	if got := s.chosen(); len(got) != 1 || got[0].Resting {
		t.Errorf("%+v", got)
	}
}

// TestLyingAgents has an agent that reports successes which no client confirms, one
// whose artifacts never match their statement, one that is honest, and one that has
// never had a job.
func TestLyingAgents(t *testing.T) {
	w := newWorld(t)
	agents := map[string]*agent{}
	for _, name := range []string{"honest", "unconfirmed", "fraud", "new"} {
		agents[name] = w.listAgent(name)
	}
	s := w.startSchool()
	for range 12 {
		s.clock.pass(accusationGap)
		for name, took := range map[string]time.Duration{"honest": 90 * time.Second, "unconfirmed": time.Second, "fraud": time.Second} {
			g := s.begin(agents[name], "", asIs)
			s.clock.pass(took)
			s.report(agents[name], g.JobID, api.OutcomeSucceeded)
			switch name {
			case "honest":
				as[struct{}](t, s.confirm(g, agents[name], api.OutcomeSucceeded, 0), 204)
			case "fraud":
				as[struct{}](t, s.confirm(g, agents[name], api.OutcomeAgentFailed, 0), 204)
			}
		}
	}
	for _, a := range agents {
		s.login(a)
		s.park(t.Context(), a)
	}
	const tries = 60
	scores, success := map[string]api.Score{}, map[string]float64{}
	for range tries {
		got := s.chosen()
		if last := got[len(got)-1]; len(got) != 4 || last.Name != "fraud" || !last.Resting {
			t.Fatalf("%+v", got)
		}
		for _, r := range got {
			scores[r.Name] = r.Score
			success[r.Name] += r.Success / tries // it is drawn
		}
	}
	honest, unconfirmed, newcomer := scores["honest"], scores["unconfirmed"], scores["new"]
	if unconfirmed.Speed != newcomer.Speed || unconfirmed.Doubt != newcomer.Doubt {
		t.Errorf("reports without confirmations have changed %+v to %+v", newcomer, unconfirmed)
	}
	if honest.Speed > unconfirmed.Speed+0.01 || honest.Doubt >= unconfirmed.Doubt || success["honest"] <= success["unconfirmed"] {
		t.Errorf("honest %+v, unconfirmed %+v, success %v", honest, unconfirmed, success)
	}
}
