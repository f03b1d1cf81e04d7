package server

import (
	"strings"
	"testing"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// without returns the list without the agent.
func (w *world) without(a *agent) []identity.Authorized {
	var rest []identity.Authorized
	for _, who := range w.agents {
		if who.Fingerprint != a.key.Fingerprint() {
			rest = append(rest, who)
		}
	}
	return rest
}

func wantRevoked(t *testing.T, r reply) {
	t.Helper()
	p := wantProblem(t, r, 401, api.CodeBadToken)
	if p.Detail != "the agent is not listed any more" || len(p.Hints) != 1 || !strings.Contains(p.Hints[0], "operator") {
		t.Errorf("%+v", p)
	}
}

func TestARevokedAgentGetsNoJobs(t *testing.T) {
	w := newWorld(t)
	a, c := w.listAgent("bench-1"), w.listAgent("bench-2")
	b := w.start()
	b.login(a)
	b.login(c)
	poll := b.park(t.Context(), a)
	b.srv.cfg.Directory.Replace(w.without(a))
	wantRevoked(t, <-poll)
	wantRevoked(t, b.post(api.PathAgentPoll, a.session, idleStatus()))
	wantRevoked(t, b.answer(a, someJob))
	r, hello := b.greet(a)
	a.sign(t, hello.Origin, r)
	wantProblem(t, b.post(api.PathAgentSession, "", r), 401, api.CodeBadSignature)

	// It gets no job, and the other agent does.
	other := b.park(t.Context(), c)
	g := b.grant()
	if len(g.Candidates) != 1 || g.Candidates[0].Name != "bench-2" {
		t.Errorf("candidates %+v", g.Candidates)
	}
	offer := b.offer(t.Context(), g, "")
	as[api.Job](t, <-other, 200)
	as[struct{}](t, b.answer(c, g.JobID), 204)
	wantAnswer(t, offer, c)

	// Listed again, it can use its old session.
	b.srv.cfg.Directory.Replace(w.agents)
	as[struct{}](t, b.post(api.PathAgentPoll+"?wait=0", a.session, idleStatus()), 204)
}

func TestARevokedAgentLosesItsClaim(t *testing.T) {
	w := newWorld(t)
	a, c := w.listAgent("bench-1"), w.listAgent("bench-2")
	b := w.start()
	b.login(a)
	b.login(c)
	polls := map[*agent]<-chan reply{a: b.park(t.Context(), a), c: b.park(t.Context(), c)}
	g := b.grant()
	offer := b.offer(t.Context(), g, "")
	first, second := a, c
	if g.Candidates[0].Name == c.name {
		first, second = c, a
	}
	as[api.Job](t, <-polls[first], 200)
	b.srv.cfg.Directory.Replace(w.without(first))
	as[api.Job](t, <-polls[second], 200) // at once, before the claim is late
	wantRevoked(t, b.answer(first, g.JobID))
	as[struct{}](t, b.answer(second, g.JobID), 204)
	wantAnswer(t, offer, second)
}
