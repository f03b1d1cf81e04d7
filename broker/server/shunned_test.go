package server

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
)

// TestWhoTriesAgainGetsAnotherAgent, and nobody else does.
func TestWhoTriesAgainGetsAnotherAgent(t *testing.T) {
	c := newClub(t)
	eve, bob := c.key(users.Add{Name: "eve"}), c.key(users.Add{Name: "bob"})
	fast, slow := c.agent, c.listAgent("slow")
	s := c.startSchool()
	for range 10 {
		for a, took := range map[*agent]time.Duration{fast: 5 * time.Second, slow: 5 * time.Minute} {
			g := s.begin(a, bob, asIs)
			s.ahead += took
			as[struct{}](t, s.confirm(g, a, api.OutcomeSucceeded, 0), 204)
		}
	}
	first := func(who string, want *agent) {
		t.Helper()
		ctx, leave := context.WithCancel(t.Context())
		for _, a := range []*agent{fast, slow} {
			s.park(ctx, s.login(a))
		}
		for range 20 {
			req := grantRequest()
			req.Explain = true
			g := as[api.GrantResponse](t, s.post(api.PathGrantRequest, who, req), 200)
			if g.Candidates[0].Name != want.name || g.Explanation[1].Shunned != (want == slow) {
				t.Fatalf("%s is first, not %s: %+v", g.Candidates[0].Name, want.name, g.Explanation)
			}
		}
		leave()
		s.until("nobody is parked", func() bool {
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
	g = s.begin(fast, eve, asIs) // asked for by its name
	as[struct{}](t, s.confirm(g, fast, api.OutcomeSucceeded, 0), 204)
	first(eve, fast)
}

// TestSpare has the order of each kind of candidate.
func TestSpare(t *testing.T) {
	m, now := newMatching(make([]byte, 32)), time.Unix(1e9, 0)
	ranked := func(names ...string) (all []scheduler.Ranked) {
		for _, name := range names {
			r := scheduler.Ranked{Candidate: api.Candidate{Name: name, Fingerprint: name[:1]}}
			r.Resting = name[1:] == "resting"
			if name[1:] == "busy" {
				r.Wait = 10
			}
			all = append(all, r)
		}
		return all
	}
	m.shun("eve", "a", api.OutcomeLost, now)
	m.shun("eve", "b", api.OutcomeAgentFailed, now)
	m.shun("eve", "b", api.OutcomeSucceeded, now) // well again
	m.shun("eve", "c", api.OutcomeBuildFailed, now)
	for _, tt := range []struct {
		name     string
		asker    string
		after    time.Duration
		in, want []string
	}{
		{"behind the others", "eve", 0, []string{"a", "b", "c"}, []string{"b", "c", "a"}},
		{"not behind those that rest", "eve", 0, []string{"a", "b", "cresting"}, []string{"b", "a", "cresting"}},
		{"the others rest", "eve", 0, []string{"a", "bresting"}, []string{"a", "bresting"}},
		{"the others are busy", "eve", 0, []string{"a", "bbusy"}, []string{"a", "bbusy"}},
		{"one of the others is", "eve", 0, []string{"a", "bbusy", "c"}, []string{"bbusy", "c", "a"}},
		{"alone", "eve", 0, []string{"a"}, []string{"a"}},
		{"almost over", "eve", accusationGap - 1, []string{"a", "b"}, []string{"b", "a"}},
		{"over", "eve", accusationGap, []string{"a", "b"}, []string{"a", "b"}},
		{"another user", "bob", 0, []string{"a", "b"}, []string{"a", "b"}},
	} {
		got := ranked(tt.in...)
		m.spare(got, tt.asker, now.Add(tt.after))
		var names []string
		for _, r := range got {
			names = append(names, r.Name)
		}
		if !slices.Equal(names, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, names, tt.want)
		}
	}
}

func TestAsker(t *testing.T) {
	here, there := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	if asker("key:eve", here) != asker("key:eve", there) || asker("key:eve", here) == asker("key:bob", here) {
		t.Error("users are not told apart by their names alone")
	}
	if asker(users.Anyone, here) == asker(users.Anyone, there) {
		t.Error("strangers are not told apart by their addresses")
	}
}
