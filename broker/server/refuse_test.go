package server

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/farforge/farforge/broker/jobs"
	"github.com/farforge/farforge/broker/login"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
)

func TestBadRequests(t *testing.T) {
	w := newWorld(t)
	a, unlisted := w.listAgent("bench-1"), w.newAgent("stranger")
	b := w.start()
	b.login(a)
	_, foreignKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	offerPath, answerPath := pathOf(api.PathOffer, someJob), pathOf(api.PathAnswer, someJob)
	good := w.signGrant(func(*grant.Grant) {})
	expired := w.signGrant(func(g *grant.Grant) {
		g.IssuedAt, g.ExpiresAt = g.IssuedAt.Add(-time.Minute), g.IssuedAt.Add(-time.Second)
	})
	foreignSession, _ := agentTokens(foreignKey).Session(a.key.Fingerprint(), time.Now().Add(time.Minute))
	oldSession, _ := agentTokens(w.key).Session(a.key.Fingerprint(), time.Now())
	strangersSession, _ := agentTokens(w.key).Session(unlisted.key.Fingerprint(), time.Now().Add(time.Minute))
	long := strings.Repeat("x", api.MaxBody+1)

	raw := func(s string) io.Reader { return strings.NewReader(s) }
	chunked := func(s string) io.Reader { return io.MultiReader(strings.NewReader(s)) } // of unknown length
	for _, tt := range []struct {
		name, method, path, token, mediaType string
		body                                 io.Reader
		status                               int
		code                                 api.Code
		detail                               string
	}{
		{"no such path", "GET", "/", "", "", nil, 404, api.CodeNotFound, ""},
		{"no such deep path", "POST", "/signaling/x/y/z", "", "", nil, 404, api.CodeNotFound, ""},
		{"wrong method", "GET", api.PathGrantRequest, "", "", nil, 405, api.CodeWrongMethod, "POST"},
		{"wrong method on a job", "PUT", offerPath, "", "", nil, 405, api.CodeWrongMethod, "POST"},
		{"wrong method for health", "POST", api.PathHealth, "", "", raw("{}"), 405, api.CodeWrongMethod, "GET"},
		{"wrong method for metrics", "POST", api.PathMetrics, "", "", raw("{}"), 405, api.CodeWrongMethod, "GET"},

		{"empty JSON", "POST", api.PathGrantRequest, "", api.TypeJSON, raw(""), 400, api.CodeMalformed, "byte 0"},
		{"cut JSON", "POST", api.PathGrantRequest, "", api.TypeJSON, raw(`{"target":`), 400, api.CodeMalformed, "byte 10"},
		{"trailing data", "POST", api.PathGrantRequest, "", api.TypeJSON, raw(`{} x`), 400, api.CodeMalformed, "byte 4"},
		{"not an object", "POST", api.PathGrantRequest, "", api.TypeJSON, raw(`[1]`), 400, api.CodeMalformed, "array"},
		{"wrong kind of field", "POST", api.PathGrantRequest, "", api.TypeJSON, raw(`{"cpu_cores":"x"}`), 400, api.CodeMalformed, "cpu_cores"},
		{"bad field", "POST", api.PathGrantRequest, "", api.TypeJSON, raw(`{"peer_fingerprint":"AB"}`), 400, api.CodeMalformed, "peer_fingerprint"},
		{"long JSON", "POST", api.PathGrantRequest, "", api.TypeJSON, raw(long), 413, api.CodeTooLarge, "65536"},
		{"long JSON in chunks", "POST", api.PathGrantRequest, "", api.TypeJSON, chunked(long), 413, api.CodeTooLarge, "65536"},
		{"another media type", "POST", api.PathGrantRequest, "", "text/plain", raw("{}"), 415, api.CodeMediaType, api.TypeJSON},
		{"broken media type", "POST", api.PathGrantRequest, "", "/;;", raw("{}"), 415, api.CodeMediaType, api.TypeJSON},

		{"offer without token", "POST", offerPath, "", api.TypeOpaque, raw("o"), 401, api.CodeUnauthorized, ""},
		{"offer with garbage", "POST", offerPath, "x.y.z", api.TypeOpaque, raw("o"), 401, api.CodeBadToken, ""},
		{"offer with two words", "POST", offerPath, "x y", api.TypeOpaque, raw("o"), 401, api.CodeUnauthorized, ""},
		{"offer with a foreign grant", "POST", offerPath, signWith(t, foreignKey, func(*grant.Grant) {}), api.TypeOpaque, raw("o"), 401, api.CodeBadToken, ""},
		{"offer with another broker's grant", "POST", offerPath, w.signGrant(func(g *grant.Grant) { g.Issuer = "https://other.example.org" }), api.TypeOpaque, raw("o"), 401, api.CodeBadToken, "another broker"},
		{"offer with a session", "POST", offerPath, a.session, api.TypeOpaque, raw("o"), 401, api.CodeBadToken, ""},
		{"offer with a flipped bit", "POST", offerPath, good[:len(good)-4] + flip(good[len(good)-4]) + good[len(good)-3:], api.TypeOpaque, raw("o"), 401, api.CodeBadToken, ""},
		{"offer with an expired grant", "POST", offerPath, expired, api.TypeOpaque, raw("o"), 410, api.CodeExpired, ""},
		{"offer for another job", "POST", pathOf(api.PathOffer, "01ARZ3NDEKTSV4RRFFQ69G5FAW"), good, api.TypeOpaque, raw("o"), 403, api.CodeForbidden, "another job"},
		{"empty offer", "POST", offerPath, good, api.TypeOpaque, raw(""), 400, api.CodeMalformed, "empty"},
		{"long offer", "POST", offerPath, good, api.TypeOpaque, raw(long[:api.MaxOffer+1]), 413, api.CodeTooLarge, "40960"},
		{"long offer in chunks", "POST", offerPath, good, api.TypeOpaque, chunked(long[:api.MaxOffer+1]), 413, api.CodeTooLarge, "40960"},
		{"offer as a form", "POST", offerPath, good, "application/x-www-form-urlencoded", raw("o"), 415, api.CodeMediaType, ""},
		{"offer with a bad wait", "POST", offerPath + "?wait=soon", good, api.TypeOpaque, raw("o"), 400, api.CodeMalformed, "wait"},
		{"offer with a negative wait", "POST", offerPath + "?wait=-1", good, api.TypeOpaque, raw("o"), 400, api.CodeMalformed, "wait"},

		{"answer without token", "POST", answerPath, "", api.TypeOpaque, raw("a"), 401, api.CodeUnauthorized, ""},
		{"answer with a grant", "POST", answerPath, good, api.TypeOpaque, raw("a"), 401, api.CodeBadToken, ""},
		{"answer to an unknown job", "POST", answerPath, a.session, api.TypeOpaque, raw("a"), 404, api.CodeUnknownJob, ""},
		{"empty answer", "POST", answerPath, a.session, api.TypeOpaque, raw(""), 400, api.CodeMalformed, "empty"},
		{"long answer", "POST", answerPath, a.session, api.TypeOpaque, raw(long), 413, api.CodeTooLarge, ""},

		{"poll without token", "POST", api.PathAgentPoll, "", api.TypeJSON, raw("{}"), 401, api.CodeUnauthorized, ""},
		{"poll with a foreign session", "POST", api.PathAgentPoll, foreignSession, api.TypeJSON, raw("{}"), 401, api.CodeBadToken, ""},
		{"poll with an expired session", "POST", api.PathAgentPoll, oldSession, api.TypeJSON, raw("{}"), 401, api.CodeBadToken, "expired"},
		{"poll of an unlisted agent", "POST", api.PathAgentPoll, strangersSession, api.TypeJSON, raw("{}"), 401, api.CodeBadToken, "listed"},
		{"poll with a bad status", "POST", api.PathAgentPoll, a.session, api.TypeJSON, raw(`{"total_cores":1,"free_cores":2}`), 400, api.CodeMalformed, "free_cores"},
		{"poll with a bad wait", "POST", api.PathAgentPoll + "?wait=1.5", a.session, api.TypeJSON, raw(`{}`), 400, api.CodeMalformed, "wait"},

		{"hello without key", "POST", api.PathAgentHello, "", api.TypeJSON, raw("{}"), 400, api.CodeMalformed, "public_key"},
		{"hello without nonce", "POST", api.PathAgentHello, "", api.TypeJSON, raw(`{"public_key":"` + a.key.PublicLine("") + `"}`), 400, api.CodeMalformed, "nonce"},
		{"hello with a short nonce", "POST", api.PathAgentHello, "", api.TypeJSON, raw(`{"public_key":"` + a.key.PublicLine("") + `","nonce":"AAAA"}`), 400, api.CodeMalformed, "nonce"},
		{"hello with a nonce that is not base64", "POST", api.PathAgentHello, "", api.TypeJSON, raw(`{"nonce":"!"}`), 400, api.CodeMalformed, ""},

		{"report without token", "POST", api.PathAgentReport, "", api.TypeJSON, raw("{}"), 401, api.CodeUnauthorized, ""},
		{"report of nothing", "POST", api.PathAgentReport, a.session, api.TypeJSON, raw("{}"), 400, api.CodeMalformed, "outcome"},
		{"report of no job", "POST", api.PathAgentReport, a.session, api.TypeJSON, raw(`{"outcome":"lost","job_id":"x"}`), 400, api.CodeMalformed, "job_id"},
		{"report without signature", "POST", api.PathAgentReport, a.session, api.TypeJSON, raw(`{"outcome":"lost","job_id":"` + someJob + `"}`), 401, api.CodeBadSignature, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, b.url+tt.path, tt.body)
			if err != nil {
				t.Fatal(err)
			}
			if tt.mediaType != "" {
				req.Header.Set("Content-Type", tt.mediaType)
			}
			if tt.token != "" {
				req.Header.Set("Authorization", "Bearer "+tt.token)
			}
			r := b.do(req)
			p := wantProblem(t, r, tt.status, tt.code)
			if !strings.Contains(p.Detail, tt.detail) {
				t.Errorf("detail %q does not name %s", p.Detail, tt.detail)
			}
			if (tt.status == 401) != (r.header.Get("WWW-Authenticate") != "") {
				t.Errorf("WWW-Authenticate: %q", r.header.Get("WWW-Authenticate"))
			}
		})
	}
	if st := b.srv.board.Stats(); st.Jobs != 0 || st.Agents != 0 {
		t.Errorf("bad requests left records: %+v", st)
	}
}

func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func TestSessionRefusals(t *testing.T) {
	w := newWorld(t)
	a, stranger := w.listAgent("bench-1"), w.newAgent("stranger")
	b := w.start()
	origin := b.srv.cfg.Origin
	try := func(r *api.SessionRequest) reply { return b.post(api.PathAgentSession, "", r) }

	// An unknown key and a wrong signature get the same response.
	r, _ := b.greet(stranger)
	stranger.sign(t, origin, r)
	unknown := try(r)
	wantProblem(t, unknown, 401, api.CodeBadSignature)
	r, _ = b.greet(a)
	stranger.sign(t, origin, r)
	wrong := try(r)
	if !bytes.Equal(unknown.body, wrong.body) {
		t.Errorf("an unknown key gets %s, a wrong signature %s", unknown.body, wrong.body)
	}

	r, _ = b.greet(a)
	a.sign(t, "https://other.example.org", r)
	wantProblem(t, try(r), 401, api.CodeBadSignature) // for another broker

	r, _ = b.greet(a)
	a.sign(t, origin, r)
	as[api.SessionResponse](t, try(r), 200)
	if p := wantProblem(t, try(r), 401, api.CodeBadToken); p.Detail != "the challenge was used already" {
		t.Errorf("a second time: %+v", p)
	}

	for name, spoil := range map[string]func(*api.SessionRequest){
		"another nonce":     func(r *api.SessionRequest) { r.Nonce[0] ^= 1 },
		"another key":       func(r *api.SessionRequest) { r.PublicKey = stranger.key.PublicLine("") },
		"a flipped expiry":  func(r *api.SessionRequest) { r.Challenge[7] ^= 1 },
		"a flipped random":  func(r *api.SessionRequest) { r.Challenge[10] ^= 1 },
		"a flipped MAC":     func(r *api.SessionRequest) { r.Challenge[len(r.Challenge)-1] ^= 1 },
		"a short challenge": func(r *api.SessionRequest) { r.Challenge = r.Challenge[1:] },
		"no challenge":      func(r *api.SessionRequest) { r.Challenge = nil },
		"an expired one": func(r *api.SessionRequest) {
			r.Challenge = agentTokens(w.key).Challenge(r.Nonce, a.key.Fingerprint(), time.Now())
		},
		"another broker's": func(r *api.SessionRequest) {
			r.Challenge = (&login.Tokens{Secret: w.key.Seed(), Origin: "https://x", Role: identity.RoleAgent}).Challenge(r.Nonce, a.key.Fingerprint(), time.Now().Add(time.Minute))
		},
		"another secret's": func(r *api.SessionRequest) {
			r.Challenge = (&login.Tokens{Secret: make([]byte, 32), Origin: origin, Role: identity.RoleAgent}).Challenge(r.Nonce, a.key.Fingerprint(), time.Now().Add(time.Minute))
		},
		"a session's length": func(r *api.SessionRequest) { r.Challenge = make([]byte, 72) },
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := b.greet(a)
			spoil(r)
			a.sign(t, origin, r)
			wantProblem(t, try(r), 401, api.CodeBadToken)
		})
	}
}

func TestReportRefusals(t *testing.T) {
	w := newWorld(t)
	a, c := w.listAgent("bench-1"), w.listAgent("bench-2")
	b := w.start()
	b.login(a)
	b.login(c)
	report := func(by *agent, job string, spoil func(*api.Report)) reply {
		rep := &api.Report{JobID: job, Outcome: api.OutcomeSucceeded}
		var err error
		if rep.Signature, err = by.key.Sign(identity.NamespaceReport, rep.SignedBytes()); err != nil {
			t.Fatal(err)
		}
		spoil(rep)
		return b.post(api.PathAgentReport, by.session, rep)
	}
	asIs := func(*api.Report) {}
	at := func(d time.Duration) string {
		return ulid.MustNew(ulid.Timestamp(time.Now().Add(d)), rand.Reader).String()
	}
	wantProblem(t, report(a, at(0), func(r *api.Report) { r.DurationMS++ }), 401, api.CodeBadSignature)
	wantProblem(t, report(a, someJob, asIs), 404, api.CodeUnknownJob) // of the year 2016
	wantProblem(t, report(a, at(time.Hour), asIs), 404, api.CodeUnknownJob)
	as[struct{}](t, report(a, at(-time.Hour), asIs), 204) // forgotten meanwhile, or by a broker before

	poll := b.park(t.Context(), a)
	g := b.grant()
	offer := b.offer(t.Context(), g, "")
	as[api.Job](t, <-poll, 200)
	wantProblem(t, report(c, g.JobID, asIs), 403, api.CodeForbidden)
	as[struct{}](t, b.answer(a, g.JobID), 204)
	wantAnswer(t, offer, a)
	wantProblem(t, report(c, g.JobID, asIs), 403, api.CodeForbidden)
	as[struct{}](t, report(a, g.JobID, asIs), 204)
	if n := b.srv.cfg.Directory.Outcomes(c.key.Fingerprint()); len(n) != 0 {
		t.Errorf("a refused report was counted: %v", n)
	}
}

func TestUnmetNeedsAndPolicy(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	w.adjust = func(c *Config) { c.Limits = jobs.Limits{Channels: 2, Cores: 8, MemoryMB: 8192, Session: time.Minute} }
	b := w.start()
	b.login(a)
	request := func(change func(*api.GrantRequest)) reply {
		r := grantRequest()
		change(r)
		return b.post(api.PathGrantRequest, "", r)
	}
	if p := wantProblem(t, request(func(*api.GrantRequest) {}), 503, api.CodeNoAgent); p.RetryAfter == 0 || len(p.Hints) == 0 {
		t.Errorf("%+v", p)
	}
	as[struct{}](t, b.post(api.PathAgentPoll+"?wait=0", a.session, idleStatus()), 204)
	for _, tt := range []struct {
		change func(*api.GrantRequest)
		status int
		code   api.Code
		detail string
	}{
		{func(r *api.GrantRequest) { r.Target = "esp32" }, 503, api.CodeNoTarget, "esp32"},
		{func(r *api.GrantRequest) { r.Toolchain = "riscv-gcc@13" }, 503, api.CodeNoToolchain, "riscv-gcc 13"},
		{func(r *api.GrantRequest) { r.CPUCores = 5 }, 503, api.CodeNoCapacity, "5 cores"},
		{func(r *api.GrantRequest) { r.Agents = []string{"other"} }, 503, api.CodeNoAgent, "other"},
		{func(r *api.GrantRequest) { r.CPUCores = 9 }, 403, api.CodeForbidden, "cpu_cores"},
		{func(r *api.GrantRequest) { r.MemoryMB = 8193 }, 403, api.CodeForbidden, "memory_mb"},
		{func(r *api.GrantRequest) { r.TimeoutSecs = 61 }, 403, api.CodeForbidden, "timeout_secs"},
		{func(r *api.GrantRequest) { r.RequiredChannels = []string{"a", "b", "c"} }, 403, api.CodeForbidden, "required_channels"},
	} {
		p := wantProblem(t, request(tt.change), tt.status, tt.code)
		if !strings.Contains(p.Detail, tt.detail) || (tt.status == 503) != (p.RetryAfter > 0) {
			t.Errorf("%+v does not name %s", p, tt.detail)
		}
	}
	// The poll of a draining agent ends at once, and the agent is not chosen.
	s := idleStatus()
	s.Draining = true
	as[struct{}](t, b.post(api.PathAgentPoll, a.session, s), 204)
	wantProblem(t, request(func(*api.GrantRequest) {}), 503, api.CodeNoAgent)
}

func TestAnotherOfferForTheSameJob(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.login(a)
	as[struct{}](t, b.post(api.PathAgentPoll+"?wait=0", a.session, idleStatus()), 204)
	g := b.grant()
	as[api.Waiting](t, <-b.offer(t.Context(), g, "?wait=0"), 202)
	wantProblem(t, b.post(pathOf(api.PathOffer, g.JobID), g.Grant, []byte("another offer")), 409, api.CodeAlreadyOffered)
	other := w.signGrant(func(x *grant.Grant) { x.JobID, x.PeerFingerprint = g.JobID, "CD"+fingerprint[2:] })
	wantProblem(t, b.post(pathOf(api.PathOffer, g.JobID), other, []byte("offer of "+g.JobID)), 409, api.CodeAlreadyOffered)
}
