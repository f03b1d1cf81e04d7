package server

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
)

func TestOneJob(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	w.adjust = func(c *Config) { c.ICEServers = []api.ICEServer{{URLs: []string{"stun:stun.example.org"}}} }
	b := w.start()
	b.login(a)
	poll := b.park(t.Context(), a)

	g := b.grant()
	if len(g.Candidates) != 1 || g.Candidates[0] != (api.Candidate{Fingerprint: a.key.Fingerprint(), Name: "bench-1", PublicKey: a.key.PublicLine("")}) || len(g.ICEServers) != 1 {
		t.Errorf("grant response %+v", g)
	}
	verified, err := grant.NewKeySet(w.key.Public().(ed25519.PublicKey)).Verify(g.Grant, time.Now(), 0)
	if err != nil || verified.JobID != g.JobID || verified.PeerFingerprint != fingerprint || verified.SessionSecs != 60 ||
		verified.CheckAudience(a.key.Fingerprint()) != nil || verified.CheckChannel("pty") == nil || !verified.ExpiresAt.Equal(g.ExpiresAt) {
		t.Errorf("grant %+v, %v", verified, err)
	}

	offer := b.offer(t.Context(), g, "")
	job := as[api.Job](t, <-poll, 200)
	if job.JobID != g.JobID || job.Grant != g.Grant || string(job.Offer) != "offer of "+g.JobID || len(job.ICEServers) != 1 {
		t.Errorf("job %+v", job)
	}
	if left := time.Until(job.AnswerBy); left <= 0 || left > api.AnswerTimeout {
		t.Errorf("the agent has %v to answer", left)
	}
	as[struct{}](t, b.answer(a, job.JobID), 204)
	wantAnswer(t, offer, a)

	rep := &api.Report{JobID: g.JobID, Outcome: api.OutcomeSucceeded, DurationMS: 1500}
	rep.Signature, err = a.key.Sign(identity.NamespaceReport, rep.SignedBytes())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second is a retry, which does not count
		as[struct{}](t, b.post(api.PathAgentReport, a.session, rep), 204)
	}
	if n := b.srv.cfg.Directory.Outcomes(a.key.Fingerprint())[api.OutcomeSucceeded]; n != 1 {
		t.Errorf("the outcome was counted %d times", n)
	}
	m := b.send(t.Context(), "GET", api.PathMetrics, "", nil)
	for _, line := range []string{
		`farforge_broker_requests_total{result="answered",route="offer"} 1`,
		`farforge_broker_requests_total{result="job",route="poll"} 1`,
		`farforge_broker_reports_total{outcome="succeeded"} 1`,
		`farforge_broker_match_seconds_count 1`, `farforge_broker_claims_total 1`,
		`farforge_broker_parked_polls 0`, `farforge_broker_agents_alive 1`,
	} {
		if !strings.Contains(string(m.body), line+"\n") {
			t.Errorf("metrics lack %s", line)
		}
	}
	if strings.Contains(string(m.body), g.JobID) || strings.Contains(string(m.body), "127.0.0.1") {
		t.Error("metrics hold a job id or an address")
	}
}

func TestAWaitContinuesWithAFreshGrant(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.login(a)
	<-b.goPost(t.Context(), api.PathAgentPoll+"?wait=0", a.session, idleStatus())
	g := b.grant()
	r := <-b.offer(t.Context(), g, "?wait=0")
	waiting := as[api.Waiting](t, r, 202)
	if waiting.JobID != g.JobID || waiting.Position != 1 || r.header.Get("Retry-After") == "" || waiting.ExpiresAt.Before(g.ExpiresAt) {
		t.Fatalf("waiting %+v, %v", waiting, r.header)
	}
	g.Grant = waiting.Grant
	offer := b.offer(t.Context(), g, "")
	b.until("the offer waits", func() bool { return b.srv.board.Stats().Offering == 1 })
	job := as[api.Job](t, b.post(api.PathAgentPoll, a.session, idleStatus()), 200)
	if job.Grant != waiting.Grant {
		t.Error("the agent did not get the fresh grant")
	}
	as[struct{}](t, b.answer(a, job.JobID), 204)
	wantAnswer(t, offer, a)
}

func TestAnOldGrantIsRenewedForTheAgent(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.login(a)
	token := w.signGrant(func(g *grant.Grant) {
		g.Agents = []string{a.key.Fingerprint()}
		g.ExpiresAt = time.Now().Add(5 * time.Second)
	})
	poll := b.park(t.Context(), a)
	offer := b.offer(t.Context(), api.GrantResponse{JobID: someJob, Grant: token}, "")
	job := as[api.Job](t, <-poll, 200)
	g, err := b.srv.cfg.Keys.Verify(job.Grant, time.Now(), 0)
	if err != nil || time.Until(g.ExpiresAt) < api.GrantLife/2 || g.JobID != someJob {
		t.Errorf("the agent got %+v, %v", g, err)
	}
	as[struct{}](t, b.answer(a, someJob), 204)
	wantAnswer(t, offer, a)
}

func TestSilentAndLateAgents(t *testing.T) {
	w := newWorld(t)
	a, c := w.listAgent("bench-1"), w.listAgent("bench-2")
	w.adjust = func(cfg *Config) { cfg.AnswerTimeout = 800 * time.Millisecond }
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
	as[api.Job](t, <-polls[second], 200) // because the first is silent
	wantProblem(t, b.answer(first, g.JobID), 409, api.CodeAlreadyAnswered)
	as[struct{}](t, b.answer(second, g.JobID), 204)
	wantAnswer(t, offer, second)
	wantProblem(t, b.answer(first, g.JobID), 409, api.CodeAlreadyAnswered)

	// With both silent the client gets an error.
	b.park(t.Context(), a)
	b.park(t.Context(), c)
	g = b.grant()
	wantProblem(t, <-b.offer(t.Context(), g, ""), 504, api.CodeNoAnswer)
	wantProblem(t, b.answer(a, g.JobID), 410, api.CodeExpired)
}

func TestARefusedJobGoesToTheNextAgent(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.login(a)
	poll := b.park(t.Context(), a)
	g := b.grant()
	start := time.Now()
	offer := b.offer(t.Context(), g, "")
	as[api.Job](t, <-poll, 200)
	b.report(a, g.JobID, api.OutcomeAgentFailed)
	wantProblem(t, <-offer, 504, api.CodeNoAnswer)
	if took := time.Since(start); took > api.AnswerTimeout/2 {
		t.Errorf("the refusal took %v to arrive", took)
	}
}

func TestAPollThatHangsUpLosesNoJob(t *testing.T) {
	w := newWorld(t)
	a, c := w.listAgent("bench-1"), w.listAgent("bench-2")
	b := w.start()
	b.login(a)
	b.login(c)
	ctx, hangUp := context.WithCancel(t.Context())
	b.park(ctx, a)
	hangUp()
	b.until("the broker has ended the request", func() bool { return b.srv.board.Stats().Parked == 0 })
	poll := b.park(t.Context(), c)
	g := b.grant()
	b.meet(g, c, poll)
}

func TestAClientThatHangsUpLeavesNoJob(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.login(a)
	as[struct{}](t, b.post(api.PathAgentPoll+"?wait=0", a.session, idleStatus()), 204)
	ctx, hangUp := context.WithCancel(t.Context())
	g := b.grant()
	offer := b.offer(ctx, g, "")
	b.until("the offer waits", func() bool { return b.srv.board.Stats().Offering == 1 })
	hangUp()
	<-offer
	b.until("the broker has ended the request", func() bool { return b.srv.board.Stats().Offering == 0 })
	as[struct{}](t, b.post(api.PathAgentPoll+"?wait=0", a.session, idleStatus()), 204)
	// The client returns with the same offer.
	poll := b.park(t.Context(), a)
	b.meet(g, a, poll)
	wantAnswer(t, b.offer(t.Context(), g, ""), a) // its response may have been lost
}

func TestNewerPollEndsTheOlder(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.login(a)
	old := b.park(t.Context(), a)
	newer := b.goPost(t.Context(), api.PathAgentPoll, a.session, idleStatus())
	as[struct{}](t, <-old, 204)
	s := idleStatus()
	s.Draining = true
	b.until("the newer poll is parked", func() bool { return b.srv.board.Stats().Parked == 1 })
	as[struct{}](t, b.post(api.PathAgentPoll, a.session, s), 204)
	as[struct{}](t, <-newer, 204)
}

// A held request must outlive the read timeout, which is for slow senders.
func TestReadTimeoutDoesNotEndAWait(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.login(a)
	ts := httptest.NewUnstartedServer(b.srv.Handler())
	ts.Config.ReadTimeout = 200 * time.Millisecond
	ts.Start()
	defer ts.Close()
	b.url = ts.URL
	start := time.Now()
	as[struct{}](t, b.post(api.PathAgentPoll+"?wait=1", a.session, idleStatus()), 204)
	if took := time.Since(start); took < time.Second {
		t.Errorf("the poll was held for %v", took)
	}
}

func TestTLSAndHTTP2(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	ts := httptest.NewUnstartedServer(b.srv.Handler())
	ts.EnableHTTP2 = true
	ts.StartTLS()
	defer ts.Close()
	b.url, b.http = ts.URL, ts.Client()
	b.login(a)
	poll := b.park(t.Context(), a)
	g := b.grant()
	b.meet(g, a, poll)
}

func TestPublicPages(t *testing.T) {
	b := newWorld(t).start()
	h := as[api.Health](t, b.send(t.Context(), "GET", api.PathHealth, "", nil), 200)
	if h.Status != "ok" || h.Version != "test" {
		t.Errorf("health %+v", h)
	}
	r := b.send(t.Context(), "GET", api.PathJWKS, "", nil)
	keys, err := grant.ParseJWKS(as[json.RawMessage](t, r, 200))
	if err != nil || len(keys.Keys()) != 1 || !keys.Keys()[0].Equal(b.key.Public()) {
		t.Errorf("key set %s: %v", r.body, err)
	}
	if r.header.Get("Cache-Control") == "no-store" || r.header.Get("ETag") == "" {
		t.Errorf("the key set cannot be cached: %v", r.header)
	}
	if r := b.send(t.Context(), "GET", api.PathHealth, "", nil); r.header.Get("Cache-Control") != "no-store" {
		t.Error("health could be cached")
	}
}

// TestPeersInOneNetworkAreMarked: the broker and both ends are on loopback here.
func TestPeersInOneNetworkAreMarked(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.login(a)
	poll := b.park(t.Context(), a)
	g := b.grant()
	job := b.meet(g, a, poll)
	if !g.SameNetwork || !job.SameNetwork {
		t.Errorf("on loopback: %v to the client, %v to the agent", g.SameNetwork, job.SameNetwork)
	}
}
