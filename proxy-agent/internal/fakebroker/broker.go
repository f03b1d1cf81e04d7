// Package fakebroker stands in for the far ends of an agent in tests: a small broker
// that speaks common/api over real HTTP, and a client that speaks WebRTC. The
// product does not use it.
package fakebroker

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
)

// Broker is a small broker for one agent. The test replies to each poll.
type Broker struct {
	Signer  *grant.Signer
	Agent   identity.Authorized
	Polls   chan *Poll
	Answers chan Answer
	Reports chan api.Report

	t     testing.TB
	http  *httptest.Server
	ahead time.Duration

	mu       sync.Mutex
	keys     grant.Published
	refuse   *api.Problem
	refused  chan struct{} // closed at the first refusal
	sessions []string      // valid ones, the oldest first
	enrolled int
	renewed  bool // the next poll brings a fresh session
}

// Poll is one poll that waits for its reply.
type Poll struct {
	Status api.Status
	Reply  func(status int, body any)
	Gone   <-chan struct{} // closed when the agent hangs up
}

// Answer is what an agent posted for a job.
type Answer struct {
	JobID string
	Body  []byte
}

// NewBroker makes a broker that lists the agent with the key. Start it.
func NewBroker(t testing.TB, key *identity.Key) *Broker {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	agent, err := identity.ParseAuthorizedLine(key.PublicLine("anvil"))
	if err != nil {
		t.Fatal(err)
	}
	b := &Broker{
		t: t, Signer: grant.NewSigner(private), Agent: agent,
		keys:    grant.Published{Keys: grant.NewKeySet(private.Public().(ed25519.PublicKey))},
		refused: make(chan struct{}), Polls: make(chan *Poll), Answers: make(chan Answer, 8), Reports: make(chan api.Report, 8),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+api.PathAgentHello, b.hello)
	mux.HandleFunc("POST "+api.PathAgentSession, b.session)
	mux.HandleFunc("POST "+api.PathAgentPoll, b.authorized(b.poll))
	mux.HandleFunc("POST "+api.PathAnswer, b.authorized(b.answer))
	mux.HandleFunc("POST "+api.PathAgentReport, b.authorized(b.report))
	mux.HandleFunc("GET "+api.PathJWKS, func(w http.ResponseWriter, _ *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		reply(w, http.StatusOK, &b.keys)
	})
	b.http = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", b.now().UTC().Format(http.TimeFormat))
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(b.http.Close)
	return b
}

// Rotate replaces the broker's signing key by one that the old key vouches for.
func (b *Broker) Rotate() {
	b.t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	next := grant.NewSigner(private)
	rotation, err := b.Signer.SignRotation(next.Public(), b.URL(), time.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Signer = next
	b.keys = grant.Published{Keys: grant.NewKeySet(next.Public()), Rotations: append(b.keys.Rotations, rotation)}
}

// Ahead puts the broker's clock ahead of this machine's. Call it before Start.
func (b *Broker) Ahead(d time.Duration) { b.ahead = d }

func (b *Broker) now() time.Time { return time.Now().Add(b.ahead) }

// Start begins to serve. Earlier connections wait until then.
func (b *Broker) Start() { b.http.Start() }

// URL returns the broker's URL, also before Start.
func (b *Broker) URL() string { return "http://" + b.http.Listener.Addr().String() }

func reply(w http.ResponseWriter, status int, body any) {
	if p, ok := body.(*api.Problem); ok {
		w.Header().Set("Content-Type", api.TypeProblem)
		if p.RetryAfter > 0 {
			w.Header().Set("Retry-After", "1")
		}
	}
	w.WriteHeader(status)
	if body != nil {
		json.NewEncoder(w).Encode(body)
	}
}

func (b *Broker) hello(w http.ResponseWriter, r *http.Request) {
	reply(w, http.StatusOK, api.HelloResponse{Challenge: []byte("challenge"), Origin: b.URL(), ExpiresAt: b.now().Add(time.Minute)})
}

func (b *Broker) session(w http.ResponseWriter, r *http.Request) {
	var in api.SessionRequest
	b.read(r, &in)
	c := identity.Challenge{Role: identity.RoleAgent, Origin: b.URL(), Challenge: []byte("challenge"), Nonce: in.Nonce, Fingerprint: b.Agent.Fingerprint}
	if err := identity.Verify(b.Agent.Key, identity.NamespaceSession, c.SignedBytes(), in.Signature); err != nil {
		b.t.Error(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		select {
		case <-b.refused:
		default:
			close(b.refused)
		}
		reply(w, b.refuse.Status, b.refuse)
		return
	}
	b.enrolled++
	session := "session-" + string(rune('a'+b.enrolled))
	b.sessions = append(b.sessions, session)
	reply(w, http.StatusOK, api.SessionResponse{Session: session, ExpiresAt: b.now().Add(api.SessionLife), Name: "anvil"})
}

// Refused is closed when the broker first refuses a session.
func (b *Broker) Refused() <-chan struct{} { return b.refused }

// Refuse makes the broker answer session requests with p. nil accepts them again.
func (b *Broker) Refuse(p *api.Problem) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse = p
}

// Enrolled returns the number of opened sessions.
func (b *Broker) Enrolled() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.enrolled
}

// Renew makes the reply to the next poll carry a fresh session and invalidates all
// others.
func (b *Broker) Renew() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.renewed = true
}

// Forget invalidates all sessions, like a restart with new keys.
func (b *Broker) Forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sessions = nil
}

func (b *Broker) authorized(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		b.mu.Lock()
		ok := false
		for _, s := range b.sessions {
			ok = ok || s == token
		}
		b.mu.Unlock()
		if !ok {
			reply(w, http.StatusUnauthorized, &api.Problem{Title: "bad token", Status: http.StatusUnauthorized, Code: api.CodeBadToken})
			return
		}
		next(w, r)
	}
}

func (b *Broker) poll(w http.ResponseWriter, r *http.Request) {
	type response struct {
		status int
		body   any
	}
	var status api.Status
	b.read(r, &status)
	if err := status.Validate(); err != nil {
		b.t.Errorf("status %+v: %v", status, err)
	}
	replied := make(chan response, 1)
	p := &Poll{Status: status, Gone: r.Context().Done(), Reply: func(status int, body any) { replied <- response{status, body} }}
	select {
	case b.Polls <- p:
	case <-r.Context().Done():
		return
	}
	select {
	case r := <-replied:
		b.mu.Lock()
		if b.renewed {
			b.renewed, b.sessions = false, []string{"renewed"}
			w.Header().Set(api.SessionHeader, "renewed")
		}
		b.mu.Unlock()
		reply(w, r.status, r.body)
	case <-r.Context().Done():
	}
}

func (b *Broker) answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		b.t.Error(err)
	}
	b.Answers <- Answer{r.PathValue("job_id"), body}
	w.WriteHeader(http.StatusNoContent)
}

func (b *Broker) report(w http.ResponseWriter, r *http.Request) {
	var report api.Report
	b.read(r, &report)
	if err := errors.Join(report.Validate(), identity.Verify(b.Agent.Key, identity.NamespaceReport, report.SignedBytes(), report.Signature)); err != nil {
		b.t.Error(err)
	}
	b.Reports <- report
	w.WriteHeader(http.StatusNoContent)
}

func (b *Broker) read(r *http.Request, v any) {
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		b.t.Error(err)
	}
}

// Next returns the next poll.
func (b *Broker) Next() *Poll {
	b.t.Helper()
	return Receive(b.t, b.Polls, "poll")
}

// Receive waits for a value, and fails the test if none arrives.
func Receive[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(time.Minute):
		t.Fatalf("no %s arrived", what)
		panic("unreachable")
	}
}
