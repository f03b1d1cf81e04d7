package server

import (
	"bytes"
	"crypto/rand"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

func testChallenge(t *testing.T, expires time.Time) []byte {
	t.Helper()
	return testSealer.challenge(make([]byte, api.NonceSize), testFingerprint, expires)
}

func TestSpentChallengesAreNeverForgottenEarly(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	s := newSpent(3)
	first := testChallenge(t, now.Add(10*time.Second))
	for i, c := range [][]byte{first, testChallenge(t, now.Add(10*time.Second)), testChallenge(t, now.Add(20*time.Second))} {
		if got := s.spend(c, now); got != spentNow {
			t.Errorf("challenge %d: %v", i, got)
		}
	}
	if got := s.spend(testChallenge(t, now.Add(30*time.Second)), now); got != spentFull {
		t.Errorf("a full memory: %v", got)
	}
	if got := s.spend(first, now.Add(9*time.Second)); got != spentBefore {
		t.Errorf("again, while the memory is full: %v", got)
	}
	for i := range 2 { // the first two are over by themselves
		if got := s.spend(testChallenge(t, now.Add(40*time.Second)), now.Add(10*time.Second)); got != spentNow {
			t.Errorf("challenge %d after some have expired: %v", i, got)
		}
	}
	if got := s.spend(testChallenge(t, now.Add(40*time.Second)), now.Add(11*time.Second)); got != spentFull || s.n != 3 {
		t.Errorf("full again: %v, %d", got, s.n)
	}
}

func TestAFullMemoryRefusesPolitely(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.srv.used = newSpent(1)
	b.login(a)
	r, hello := b.greet(a)
	a.sign(t, hello.Origin, r)
	if p := wantProblem(t, b.post(api.PathAgentSession, "", r), 429, api.CodeTooFast); p.RetryAfter == 0 || !strings.Contains(p.Detail, "sessions") {
		t.Errorf("%+v", p)
	}
}

// Whether a key is listed shows neither in the answer nor in the work: the clock
// of a busy machine proves nothing, so the checks are counted.
func TestUnknownKeysCostTheSame(t *testing.T) {
	w := newWorld(t)
	a, stranger := w.listAgent("bench-1"), w.newAgent("stranger")
	b := w.start()
	var checks atomic.Int64
	var with atomic.Value
	b.srv.check = func(key ssh.PublicKey, namespace string, message []byte, signature string) error {
		checks.Add(1)
		with.Store(ssh.FingerprintSHA256(key))
		return identity.Verify(key, namespace, message, signature)
	}
	var first []byte
	for _, tt := range []struct {
		what        string
		who, signer *agent
		garbage     bool
	}{
		{"a listed key with another's signature", a, stranger, false},
		{"an unknown key with its own signature", stranger, stranger, false},
		{"an unknown key with another's signature", stranger, a, false},
		{"a listed key without a signature", a, a, true},
		{"an unknown key without a signature", stranger, stranger, true},
	} {
		r, hello := b.greet(tt.who)
		tt.signer.sign(t, hello.Origin, r)
		if tt.garbage {
			r.Signature = "garbage"
		}
		before := checks.Load()
		got := b.post(api.PathAgentSession, "", r)
		wantProblem(t, got, 401, api.CodeBadSignature)
		if first == nil {
			first = got.body
		}
		if !bytes.Equal(first, got.body) {
			t.Errorf("%s gets %s, others %s", tt.what, got.body, first)
		}
		if n := checks.Load() - before; n != 1 || with.Load() != tt.who.key.Fingerprint() {
			t.Errorf("%s: %d checks, with the key %v; want one, with the key that it showed", tt.what, n, with.Load())
		}
	}
}

// A broker in the middle gains nothing: what one broker asks and what is
// signed for one, no other takes.
func TestChallengesOfAnotherBroker(t *testing.T) {
	home, away := newWorld(t), newWorld(t) // away has another key, and so another secret
	a := home.listAgent("bench-1")
	away.agents = home.agents
	away.adjust = func(c *Config) { c.Origin = "https://other.example.org" }
	one, other := home.start(), away.start()

	// It replays at one what was asked and signed at the other.
	r, hello := other.greet(a)
	a.sign(t, hello.Origin, r)
	p := wantProblem(t, one.post(api.PathAgentSession, "", r), 401, api.CodeBadToken)
	if !strings.Contains(p.Detail, "not this broker's") {
		t.Errorf("%+v", p)
	}
	// It passes on one's challenge as its own; the agent signs where it dialled.
	r, _ = one.greet(a)
	a.sign(t, other.srv.cfg.Origin, r)
	wantProblem(t, one.post(api.PathAgentSession, "", r), 401, api.CodeBadSignature)

	// The same secret does not help: the origin counts by itself.
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
			signAs(r, identity.NamespaceSession, func(c *identity.Challenge) { c.Fingerprint = testFingerprint })
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
		token, err := b.srv.sessions.session(a.key.Fingerprint(), time.Now().Add(left))
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
	if _, err := b.srv.sessions.openSession(fresh, time.Now().Add(api.SessionLife-2*time.Second)); err != nil {
		t.Errorf("the fresh session %q: %v", fresh, err)
	}
	a.session = fresh
	poll := b.park(t.Context(), a)
	g := b.grant()
	b.meet(g, a, poll)

	// With a job it comes as well, and never to who is not listed any more.
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
