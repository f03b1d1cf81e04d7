package server

import (
	"context"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
)

// TestARetryGetsAnotherAgent: after a complaint, the next job of that user goes to
// another agent, and the jobs of other users do not.
func TestARetryGetsAnotherAgent(t *testing.T) {
	c := newClub(t)
	eve, bob := c.key(users.Add{Name: "eve"}), c.key(users.Add{Name: "bob"})
	fast, slow := c.agent, c.listAgent("slow")
	s := c.startSchool()
	for range 10 {
		for a, took := range map[*agent]time.Duration{fast: 5 * time.Second, slow: 5 * time.Minute} {
			g := s.begin(a, bob, asIs)
			s.clock.pass(took)
			as[struct{}](t, s.confirm(g, a, api.OutcomeSucceeded, 0), 204)
		}
	}
	first := func(token string, want *agent) {
		t.Helper()
		ctx, leave := context.WithCancel(t.Context())
		for _, a := range []*agent{fast, slow} {
			s.park(ctx, s.login(a))
		}
		for range 20 {
			req := grantRequest()
			req.Explain = true
			g := as[api.GrantResponse](t, s.post(api.PathGrantRequest, token, req), 200)
			if g.Candidates[0].Name != want.name || g.Explanation[1].Shunned != (want == slow) {
				t.Fatalf("%s is first, not %s: %+v", g.Candidates[0].Name, want.name, g.Explanation)
			}
		}
		leave()
		s.until("no agent is parked", func() bool {
			f, _ := s.srv.cfg.Directory.Agent(fast.key.Fingerprint())
			o, _ := s.srv.cfg.Directory.Agent(slow.key.Fingerprint())
			return !f.Parked && !o.Parked
		})
	}
	first(eve, fast)
	g := s.begin(fast, eve, asIs)
	as[struct{}](t, s.confirm(g, fast, api.OutcomeLost, 0), 204)
	first(eve, slow)
	first(bob, fast)
	g = s.begin(fast, eve, asIs) // by its name
	as[struct{}](t, s.confirm(g, fast, api.OutcomeSucceeded, 0), 204)
	first(eve, fast)
}
