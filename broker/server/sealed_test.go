package server

import (
	"bytes"
	"strings"
	"testing"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/envelope"
)

// bindSealing returns a sealing key that the agent has signed.
func bindSealing(t testing.TB, a *agent) *api.SealingKey {
	t.Helper()
	key, err := envelope.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	sealing, err := key.Bind(a.key)
	if err != nil {
		t.Fatal(err)
	}
	return sealing
}

func TestOffersCanBeSealedToCandidates(t *testing.T) {
	w := newWorld(t)
	a, c := w.listAgent("bench-1"), w.listAgent("bench-2")
	log := &syncBuffer{}
	w.adjust = func(c *Config) { c.RequireSealed, c.Logger = true, log.logger() }
	b := w.start()
	b.login(a)
	b.login(c)
	poll := func(by *agent, sealing *api.SealingKey) {
		s := idleStatus()
		s.Sealing = sealing
		as[struct{}](t, b.post(api.PathAgentPoll+"?wait=0", by.session, s), 204)
	}
	poll(c, nil)
	if p := wantProblem(t, b.post(api.PathGrantRequest, "", grantRequest()), 503, api.CodeNoAgent); !strings.Contains(p.Detail, "sealed") {
		t.Errorf("no agent can open a sealed offer: %s", p.Detail)
	}
	poll(a, bindSealing(t, a))
	poll(c, bindSealing(t, a)) // not its own
	poll(c, bindSealing(t, a))
	if n := strings.Count(log.String(), "sealing key is not its own"); n != 2 {
		t.Errorf("%d warnings in %s", n, log)
	}
	g := b.grant()
	if len(g.Candidates) != 1 || g.Candidates[0].Name != "bench-1" {
		t.Fatalf("candidates %+v", g.Candidates)
	}
	// The envelope checks the keys that the broker sends.
	sealed, err := envelope.SealOffer("x", g.Candidates)
	if err != nil {
		t.Fatal(err)
	}
	path := pathOf(api.PathOffer, g.JobID) + "?wait=0"
	p := wantProblem(t, b.post(path, g.Grant, []byte(`{"type":"offer","sdp":"x"}`)), 403, api.CodeForbidden)
	if !strings.Contains(p.Detail, "only sealed") || len(p.Hints) != 1 {
		t.Errorf("%+v", p)
	}
	as[api.Waiting](t, b.post(path, g.Grant, bytes.Clone(sealed.Body)), 202)
}

func TestPlainOffersAreAcceptedByDefault(t *testing.T) {
	w := newWorld(t)
	a, c := w.listAgent("bench-1"), w.listAgent("bench-2")
	b := w.start()
	for _, x := range []*agent{a, c} {
		b.login(x)
		as[struct{}](t, b.post(api.PathAgentPoll+"?wait=0", x.session, idleStatus()), 204)
	}
	r := grantRequest()
	r.ExcludeAgents = []string{"bench-2"}
	g := as[api.GrantResponse](t, b.post(api.PathGrantRequest, "", r), 200)
	if len(g.Candidates) != 1 || g.Candidates[0].Name != "bench-1" || g.Candidates[0].Sealing != nil {
		t.Errorf("candidates %+v", g.Candidates)
	}
	as[api.Waiting](t, b.post(pathOf(api.PathOffer, g.JobID)+"?wait=0", g.Grant, []byte("plain")), 202)
}
