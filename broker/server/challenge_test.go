package server

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/login"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// A broker in the middle gains nothing: no broker accepts the challenge of another,
// or a signature that was made for another.
func TestChallengesOfAnotherBroker(t *testing.T) {
	home, away := newWorld(t), newWorld(t) // away has another key, and so another secret
	a := home.listAgent("bench-1")
	away.agents = home.agents
	away.adjust = func(c *Config) { c.Origin = "https://other.example.org" }
	one, other := home.start(), away.start()

	// It replays at one broker the challenge and signature of the other.
	r, hello := other.greet(a)
	a.sign(t, hello.Origin, r)
	p := wantProblem(t, one.post(api.PathAgentSession, "", r), 401, api.CodeBadToken)
	if !strings.Contains(p.Detail, "did not make the challenge") {
		t.Errorf("%+v", p)
	}
	// It forwards the challenge of one broker as its own; the agent signs the origin
	// that it dialed.
	r, _ = one.greet(a)
	a.sign(t, other.srv.cfg.Origin, r)
	wantProblem(t, one.post(api.PathAgentSession, "", r), 401, api.CodeBadSignature)

	// The same secret does not help: the origin counts, too.
	away.key = home.key
	twin := away.start()
	r, hello = twin.greet(a)
	a.sign(t, hello.Origin, r)
	wantProblem(t, one.post(api.PathAgentSession, "", r), 401, api.CodeBadToken)
	twin.login(a)
	wantProblem(t, one.post(api.PathAgentPoll+"?wait=0", a.session, idleStatus()), 401, api.CodeBadToken)
}

func TestChallengesAreBoundToTheirPurpose(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	origin := b.srv.cfg.Origin
	fingerprint := a.key.Fingerprint()
	signAs := func(r *api.SessionRequest, namespace string, change func(*identity.Challenge)) {
		c := identity.Challenge{Role: identity.RoleAgent, Origin: origin, Challenge: r.Challenge, Nonce: r.Nonce, Fingerprint: fingerprint}
		change(&c)
		var err error
		if r.Signature, err = a.key.Sign(namespace, c.SignedBytes()); err != nil {
			t.Fatal(err)
		}
	}
	for what, sign := range map[string]func(*api.SessionRequest){
		"another namespace": func(r *api.SessionRequest) {
			signAs(r, identity.NamespaceReport, func(*identity.Challenge) {})
		},
		"another role": func(r *api.SessionRequest) {
			signAs(r, identity.NamespaceSession, func(c *identity.Challenge) { c.Role = identity.RoleUser })
		},
		"another origin": func(r *api.SessionRequest) {
			signAs(r, identity.NamespaceSession, func(c *identity.Challenge) { c.Origin = "http://broker.example.org" })
		},
		"another challenge": func(r *api.SessionRequest) {
			signAs(r, identity.NamespaceSession, func(c *identity.Challenge) { c.Challenge = append([]byte{1}, c.Challenge[1:]...) })
		},
		"another agent nonce": func(r *api.SessionRequest) {
			signAs(r, identity.NamespaceSession, func(c *identity.Challenge) { c.Nonce = make([]byte, api.NonceSize) })
		},
		"another key": func(r *api.SessionRequest) {
			signAs(r, identity.NamespaceSession, func(c *identity.Challenge) { c.Fingerprint = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" })
		},
	} {
		r, _ := b.greet(a)
		sign(r)
		if got := b.post(api.PathAgentSession, "", r); got.status != 401 {
			t.Errorf("signed for %s: %d %s", what, got.status, got.body)
		} else {
			wantProblem(t, got, 401, api.CodeBadSignature)
		}
	}
	// A user's challenge does not open an agent's session.
	nonce := make([]byte, api.NonceSize)
	rand.Read(nonce)
	line := a.key.PublicLine("")
	hello := as[api.HelloResponse](t, b.post(api.PathUserHello, "", &api.HelloRequest{PublicKey: line, Nonce: nonce}), 200)
	r := &api.SessionRequest{PublicKey: line, Nonce: nonce, Challenge: hello.Challenge}
	a.sign(t, origin, r)
	wantProblem(t, b.post(api.PathAgentSession, "", r), 401, api.CodeBadToken)
}

func TestThePollRenewsTheSession(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	at := func(left time.Duration) string {
		token, err := agentTokens(w.key).Session(a.key.Fingerprint(), time.Now().Add(left))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	b.login(a)
	r := b.post(api.PathAgentPoll+"?wait=0", a.session, idleStatus())
	if as[struct{}](t, r, 204); r.header.Get(api.SessionHeader) != "" {
		t.Error("a fresh session was renewed")
	}
	r = b.post(api.PathAgentPoll+"?wait=0", at(api.SessionLife/2-2*time.Second), idleStatus())
	as[struct{}](t, r, 204)
	fresh := r.header.Get(api.SessionHeader)
	if _, err := agentTokens(w.key).CheckSession(fresh, time.Now().Add(api.SessionLife-2*time.Second)); err != nil {
		t.Errorf("the fresh session %q: %v", fresh, err)
	}
	a.session = fresh
	poll := b.park(t.Context(), a)
	g := b.grant()
	b.meet(g, a, poll)

	// A poll with a job carries it, too; the poll of an unlisted agent never does.
	a.session = at(time.Minute)
	poll = b.park(t.Context(), a)
	g = b.grant()
	b.offer(t.Context(), g, "?wait=0")
	if r = <-poll; r.status != 200 || r.header.Get(api.SessionHeader) == "" {
		t.Errorf("with a job: %d, %v", r.status, r.header)
	}
	poll = b.park(t.Context(), a)
	b.srv.cfg.Directory.Replace(nil)
	if r = <-poll; r.status != 401 || r.header.Get(api.SessionHeader) != "" {
		t.Errorf("after it was revoked: %d, %v", r.status, r.header)
	}
}

func TestWeakKeysGetNoChallenge(t *testing.T) {
	b := newWorld(t).start()
	p := wantProblem(t, b.post(api.PathAgentHello, "", &api.HelloRequest{PublicKey: weakKey, Nonce: make([]byte, api.NonceSize)}), 400, api.CodeMalformed)
	if !strings.Contains(p.Detail, "fewer than 3072 bits") {
		t.Errorf("%+v", p)
	}
}

// weakKey has 2048 bits.
const weakKey = `ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDdQFeuJSj2dMDu1f8kSLaeOJwDkaeLEZ/QyG+oxF62NDMSVxcTAOfaHXNNpQyauUmBJILgPN0yyO7xbWGcFS4rtpzg/hReMSG+5upR9UQBg+7zOaqsvz2CcELou4WwfpLDaTYT77kLDIn6NZ9RtFzfyMSLPqZrz7zNGW+VcI5sTVMLxHeCRwKB+4S5g6sCgYchZDqP1ZGRAGfnVuF+akZdJXbBye6Xvgs62irx1MT0OVnmCyT3FAKwyVkphqH/GX7NLNWI6+3CEmuDI9Ecbio7xaKgqbszoxYs8CPDzmVy4LUkP2daVE6CjU2l0xrKSUNgFWTEVI9sa/Bq702XE2Jt`

func TestEveryRefusedLoginHasAStatusAndCode(t *testing.T) {
	for kind, want := range map[login.Kind]struct {
		status int
		code   api.Code
	}{
		login.Malformed:    {400, api.CodeMalformed},
		login.NoToken:      {401, api.CodeUnauthorized},
		login.BadToken:     {401, api.CodeBadToken},
		login.Expired:      {401, api.CodeBadToken},
		login.BadSignature: {401, api.CodeBadSignature},
		login.NotAllowed:   {403, api.CodeForbidden},
		login.TooMany:      {429, api.CodeTooFast},
		login.Unavailable:  {500, api.CodeInternal},
	} {
		err := loginProblem(&login.Error{Kind: kind, Detail: "why", Hints: []string{"do this"}, RetryAfter: 5 * time.Second})
		p, ok := errors.AsType[*api.Problem](err)
		if !ok || p.Status != want.status || p.Code != want.code || p.Detail != "why" || p.RetryAfter != 5 || len(p.Hints) != 1 {
			t.Errorf("%v: %+v, want %+v", kind, err, want)
		}
	}
}
