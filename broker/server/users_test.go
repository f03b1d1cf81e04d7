package server

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/internal/issuer"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
)

// club is a world whose brokers have users.
type club struct {
	*world
	dir   string
	reg   *users.Registry
	agent *agent
}

func newClub(t *testing.T) *club {
	t.Helper()
	c := &club{world: newWorld(t), dir: t.TempDir(), reg: &users.Registry{}}
	c.agent = c.listAgent("bench-1")
	c.adjust = func(cfg *Config) { cfg.Users = c.reg }
	return c
}

func (c *club) path(name string) string { return filepath.Join(c.dir, name) }

// key adds a user with an access key.
func (c *club) key(add users.Add) string {
	c.t.Helper()
	key := users.NewAccessKey()
	if err := users.AddUser(c.path("users"), add, key, time.Now()); err != nil {
		c.t.Fatal(err)
	}
	var err error
	if c.reg.File == nil {
		c.reg.File, err = users.OpenFile(c.path("users"), slog.New(slog.DiscardHandler))
	} else {
		c.reg.Check()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return key.Reveal()
}

// list writes the list of SSH keys: those of exactly these users.
func (c *club) list(people ...*agent) {
	c.t.Helper()
	var lines strings.Builder
	for _, p := range people {
		lines.WriteString(p.key.PublicLine(p.name) + "\n")
	}
	err := os.WriteFile(c.path("authorized"), []byte(lines.String()), 0o600)
	if err == nil && c.reg.Authorized == nil {
		c.reg.Authorized, err = users.OpenAuthorized(c.path("authorized"), slog.New(slog.DiscardHandler))
	} else {
		c.reg.Reload()
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *club) trust(i *issuer.Issuer, rules ...string) {
	c.t.Helper()
	cfg := users.OIDCConfig{Issuer: i.URL, Audience: "https://broker.example.org", Client: i.Client}
	for _, text := range rules {
		rule, err := users.ParseRule(text)
		if err != nil {
			c.t.Fatal(err)
		}
		cfg.Allow = append(cfg.Allow, rule)
	}
	var err error
	if c.reg.OIDC, err = users.NewOIDC(cfg); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(c.reg.Close)
}

// open starts a broker with one idle agent.
func (c *club) open() *broker {
	c.t.Helper()
	b := c.start()
	b.login(c.agent)
	as[struct{}](c.t, b.post(api.PathAgentPoll+"?wait=0", c.agent.session, idleStatus()), 204)
	return b
}

// userSession opens a session for a user; sign names the signer and its role.
func (b *broker) userSession(u *agent, sign func(*identity.Challenge) string) reply {
	b.t.Helper()
	nonce := make([]byte, api.NonceSize)
	rand.Read(nonce)
	line := u.key.PublicLine("")
	hello := as[api.HelloResponse](b.t, b.post(api.PathUserHello, "", &api.HelloRequest{PublicKey: line, Nonce: nonce}), 200)
	challenge := &identity.Challenge{Role: identity.RoleUser, Origin: hello.Origin, Challenge: hello.Challenge, Nonce: nonce, Fingerprint: u.key.Fingerprint()}
	return b.post(api.PathUserSession, "", &api.SessionRequest{PublicKey: line, Nonce: nonce, Challenge: hello.Challenge, Signature: sign(challenge)})
}

func (u *agent) signs(t testing.TB) func(*identity.Challenge) string {
	return func(c *identity.Challenge) string {
		signature, err := u.key.Sign(identity.NamespaceSession, c.SignedBytes())
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
}

// subject returns the subject of a new grant.
func (b *broker) subject(token string) string {
	b.t.Helper()
	g := as[api.GrantResponse](b.t, b.post(api.PathGrantRequest, token, grantRequest()), 200)
	verified, err := b.srv.cfg.Keys.Verify(g.Grant, time.Now(), 0)
	if err != nil {
		b.t.Fatal(err)
	}
	return verified.Subject
}

func (b *broker) refusals(kind string) string {
	page := b.send(b.t.Context(), http.MethodGet, api.PathMetrics, "", nil)
	_, rest, _ := strings.Cut(string(page.body), `farforge_broker_refusals_total{kind="`+kind+`"} `)
	n, _, _ := strings.Cut(rest, "\n")
	return n
}

func TestEveryKindOfTokenHasAStableSubject(t *testing.T) {
	c, i := newClub(t), issuer.New(t)
	key := c.key(users.Add{Name: "alice"})
	bob := c.newAgent("bob")
	c.list(bob)
	c.trust(i, "repository=acme/*")
	c.reg.Open = true
	b := c.open()
	s := as[api.SessionResponse](t, b.userSession(bob, bob.signs(t)), 200)
	if s.Name != "bob" || time.Until(s.ExpiresAt) < api.SessionLife/2 {
		t.Errorf("%+v", s)
	}
	for want, token := range map[string]string{
		"key:alice":                    key,
		"ssh:" + bob.key.Fingerprint(): s.Session,
		"oidc:" + i.URL + "#repo:acme/lamp:ref:refs/heads/main": i.Token(t, "https://broker.example.org", nil),
		users.Anyone: "",
	} {
		if got := b.subject(token); got != want {
			t.Errorf("the grant is for %s, want %s", got, want)
		}
	}
}

// TestUnknownTokensGetOneResponse: every wrong token gets the same response, byte by
// byte, which reveals neither which half of a key was right nor the kind of token.
func TestUnknownTokensGetOneResponse(t *testing.T) {
	c, i, stranger := newClub(t), issuer.New(t), issuer.New(t)
	key := c.key(users.Add{Name: "alice"})
	bob, carol := c.newAgent("bob"), c.newAgent("carol")
	c.list(bob)
	c.trust(i, "repository=acme/*")
	b := c.open()
	session := as[api.SessionResponse](t, b.userSession(bob, bob.signs(t)), 200).Session
	other := users.NewAccessKey().Reveal()
	tokens := agentTokens(c.world.key)
	tokens.Role = identity.RoleUser
	old, _ := tokens.Session(bob.key.Fingerprint(), time.Now())
	unlisted, _ := tokens.Session(carol.key.Fingerprint(), time.Now().Add(time.Minute))
	const audience = "https://broker.example.org"

	// Without a token the response lists the kinds of tokens.
	none := b.post(api.PathGrantRequest, "", grantRequest())
	p := wantProblem(t, none, 401, api.CodeUnauthorized)
	if hints := strings.Join(p.Hints, "\n"); !strings.Contains(hints, "broker users add") || !strings.Contains(hints, api.PathUserHello) || !strings.Contains(hints, i.URL) {
		t.Errorf("hints: %s", hints)
	}
	var first []byte
	for name, token := range map[string]string{
		"an unknown access key":           other,
		"a wrong secret":                  key[:20] + other[20:],
		"a cut access key":                key[:60],
		"no session":                      "x",
		"a session with a flipped bit":    flip(session[0]) + session[1:],
		"a session that has expired":      old,
		"a session of a key not listed":   unlisted,
		"an agent's session":              c.agent.session,
		"a grant":                         c.signGrant(func(*grant.Grant) {}),
		"another issuer's token":          stranger.Token(t, audience, nil),
		"a token for another audience":    i.Token(t, "https://other.example.org", nil),
		"a token that has expired":        i.Token(t, audience, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}),
		"a token of none":                 "eyJhbGciOiJub25lIn0." + strings.Split(i.Token(t, audience, nil), ".")[1] + ".",
		"a token by another's key":        stranger.Token(t, audience, map[string]any{"iss": i.URL}),
		"garbage in the form of a token":  "a.b.c",
		"garbage in the form of a key":    "ff_",
		"a session in an access key form": "ff_" + session,
	} {
		r := b.post(api.PathGrantRequest, token, grantRequest())
		wantProblem(t, r, 401, api.CodeBadToken)
		if r.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: WWW-Authenticate is %q", name, r.header.Get("WWW-Authenticate"))
		}
		if first == nil {
			first = r.body
		}
		if !bytes.Equal(r.body, first) {
			t.Errorf("%s gets %s, another gets %s", name, r.body, first)
		}
	}
	if n := b.refusals("bad_token"); n != "17" {
		t.Errorf("%s refusals were counted", n)
	}
	for _, header := range []string{"Basic x", "Bearer", "Bearer " + key + " x", key} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+api.PathGrantRequest, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", header)
		wantProblem(t, b.do(req), 401, api.CodeUnauthorized)
	}
}

func TestKnownButNotAllowed(t *testing.T) {
	c, i := newClub(t), issuer.New(t)
	expired := c.key(users.Add{Name: "old", Expires: time.Now().Add(-time.Hour)})
	c.trust(i, "repository=acme/*")
	b := c.open()
	p := wantProblem(t, b.post(api.PathGrantRequest, i.Token(t, "https://broker.example.org", map[string]any{"repository": "evil/lamp"}), grantRequest()), 403, api.CodeForbidden)
	if !strings.Contains(p.Detail, "no rule") || !strings.Contains(p.Hints[0], "--oidc-allow") {
		t.Errorf("%+v", p)
	}
	p = wantProblem(t, b.post(api.PathGrantRequest, expired, grantRequest()), 401, api.CodeBadToken)
	if !strings.Contains(p.Detail, "ended on") {
		t.Errorf("%+v", p)
	}
	i.Rotate(t, "new")
	i.Down.Store(true)
	p = wantProblem(t, b.post(api.PathGrantRequest, i.Token(t, "https://broker.example.org", nil), grantRequest()), 500, api.CodeInternal)
	if !strings.Contains(p.Detail, "issuer") || p.RetryAfter == 0 {
		t.Errorf("%+v", p)
	}
	for kind, want := range map[string]string{"not_allowed": "1", "expired": "1", "issuer_unavailable": "1", "bad_token": ""} {
		if n := b.refusals(kind); n != want {
			t.Errorf("%s: %q were counted", kind, n)
		}
	}
}

// TestRolesDoNotMix: the key of an agent is void for a user, and the reverse, in any
// mixture of paths, roles and tokens.
func TestRolesDoNotMix(t *testing.T) {
	c := newClub(t)
	bob, carol := c.newAgent("bob"), c.newAgent("carol")
	c.list(bob, c.agent) // the agent's key is also a user's
	b := c.open()
	a := c.agent

	// A signature in the role of an agent opens no session for a user.
	wantProblem(t, b.userSession(a, func(ch *identity.Challenge) string {
		ch.Role = identity.RoleAgent
		return a.signs(t)(ch)
	}), 401, api.CodeBadSignature)
	// A challenge that was made for an agent does not, either.
	req, hello := b.greet(a)
	a.sign(t, hello.Origin, req)
	wantProblem(t, b.post(api.PathUserSession, "", req), 401, api.CodeBadToken)
	// The tokens of one role are void in the other.
	s := as[api.SessionResponse](t, b.userSession(a, a.signs(t)), 200)
	wantProblem(t, b.post(api.PathAgentPoll+"?wait=0", s.Session, idleStatus()), 401, api.CodeBadToken)
	wantProblem(t, b.post(api.PathGrantRequest, a.session, grantRequest()), 401, api.CodeBadToken)
	if got := b.subject(s.Session); got != "ssh:"+a.key.Fingerprint() {
		t.Errorf("the grant is for %s", got)
	}
	// A user's key opens no session for an agent.
	r, _ := b.greet(bob)
	bob.sign(t, hello.Origin, r)
	wantProblem(t, b.post(api.PathAgentSession, "", r), 401, api.CodeBadSignature)

	// An unlisted key and a wrong signature get the same response.
	unknown := b.userSession(carol, carol.signs(t))
	wrong := b.userSession(bob, carol.signs(t))
	wantProblem(t, unknown, 401, api.CodeBadSignature)
	if !bytes.Equal(unknown.body, wrong.body) {
		t.Errorf("an unknown key gets %s, a wrong signature %s", unknown.body, wrong.body)
	}
}

func TestARevokedUser(t *testing.T) {
	c := newClub(t)
	bob := c.newAgent("bob")
	c.list(bob)
	key := c.key(users.Add{Name: "alice"})
	b := c.open()
	session := as[api.SessionResponse](t, b.userSession(bob, bob.signs(t)), 200).Session
	var grants []api.GrantResponse
	for _, token := range []string{session, key} {
		g := as[api.GrantResponse](t, b.post(api.PathGrantRequest, token, grantRequest()), 200)
		as[api.Waiting](t, <-b.offer(t.Context(), g, "?wait=0"), 202)
		grants = append(grants, g)
	}
	c.list()
	if err := users.Remove(c.path("users"), "alice"); err != nil {
		t.Fatal(err)
	}
	c.reg.Check()
	for i, token := range []string{session, key} {
		wantProblem(t, b.post(api.PathGrantRequest, token, grantRequest()), 401, api.CodeBadToken)
		// An offer is refused, too, even with a fresh grant.
		wantProblem(t, <-b.offer(t.Context(), grants[i], "?wait=0"), 403, api.CodeForbidden)
	}
}

func TestClosedAndOpenBrokers(t *testing.T) {
	closed := newClub(t)
	b := closed.open()
	wantProblem(t, b.post(api.PathGrantRequest, "", grantRequest()), 401, api.CodeUnauthorized)

	// A broker that accepts no tokens ignores them.
	c := newClub(t)
	c.reg.Open = true
	if got := c.open().subject("whatever"); got != users.Anyone {
		t.Errorf("the grant is for %s", got)
	}
	// A broker that accepts tokens refuses a wrong one instead of treating its
	// sender as anyone.
	key := c.key(users.Add{Name: "alice"})
	b = c.open()
	if got := b.subject(key); got != "key:alice" {
		t.Errorf("the grant is for %s", got)
	}
	wantProblem(t, b.post(api.PathGrantRequest, key[:60], grantRequest()), 401, api.CodeBadToken)
}

// TestTokensAreNotLogged: neither logs nor metrics have a token, and metrics have no
// name.
func TestTokensAreNotLogged(t *testing.T) {
	c := newClub(t)
	key := c.key(users.Add{Name: "alice"})
	var log bytes.Buffer
	adjust := c.adjust
	c.adjust = func(cfg *Config) {
		adjust(cfg)
		cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	b := c.open()
	b.subject(key)
	b.post(api.PathGrantRequest, key[:71]+flip(key[71]), grantRequest())
	page := b.send(t.Context(), http.MethodGet, api.PathMetrics, "", nil)
	b.kill()
	_ = b.wait()
	for where, text := range map[string]string{"the log": log.String(), "the metrics": string(page.body)} {
		if strings.Contains(text, key[20:60]) || strings.Contains(text, "127.0.0.1") {
			t.Errorf("%s have a token or a name: %s", where, text)
		}
	}
	if strings.Contains(string(page.body), "alice") || json.Valid(page.body) {
		t.Errorf("the metrics name users: %s", page.body)
	}
}
