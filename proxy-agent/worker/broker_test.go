//go:build unix

package worker

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

// broker is a small broker for one agent. It speaks common/api over a real
// socket; what it replies to each poll is the test's to say.
type broker struct {
	t      *testing.T
	http   *httptest.Server
	signer *grant.Signer
	agent  identity.Authorized

	polls   chan *poll
	answers chan answer
	reports chan api.Report

	mu       sync.Mutex
	refuse   *api.Problem // what a session request gets, if set
	sessions []string     // that are valid, in their order
	enrolled int
}

// poll is one poll that waits for its reply.
type poll struct {
	status api.Status
	reply  func(status int, body any)
	gone   <-chan struct{} // closed when the agent has hung up
}

type answer struct {
	jobID string
	body  []byte
}

func newBroker(t *testing.T, key *identity.Key) *broker {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	agent, err := identity.ParseAuthorizedLine(key.PublicLine("anvil"))
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{
		t: t, signer: grant.NewSigner(private), agent: agent,
		polls: make(chan *poll), answers: make(chan answer, 8), reports: make(chan api.Report, 8),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+api.PathAgentHello, b.hello)
	mux.HandleFunc("POST "+api.PathAgentSession, b.session)
	mux.HandleFunc("POST "+api.PathAgentPoll, b.authorized(b.poll))
	mux.HandleFunc("POST "+api.PathAnswer, b.authorized(b.answer))
	mux.HandleFunc("POST "+api.PathAgentReport, b.authorized(b.report))
	mux.HandleFunc("GET "+api.PathJWKS, func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, grant.NewKeySet(b.signer.Public()))
	})
	b.http = httptest.NewUnstartedServer(mux)
	t.Cleanup(b.http.Close)
	return b
}

func (b *broker) start() { b.http.Start() }

// url is the broker's, also before it is started.
func (b *broker) url() string { return "http://" + b.http.Listener.Addr().String() }

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

func (b *broker) hello(w http.ResponseWriter, r *http.Request) {
	reply(w, http.StatusOK, api.HelloResponse{Challenge: []byte("challenge"), Origin: b.url(), ExpiresAt: time.Now().Add(time.Minute)})
}

func (b *broker) session(w http.ResponseWriter, r *http.Request) {
	var in api.SessionRequest
	b.read(r, &in)
	c := identity.Challenge{Origin: b.url(), Challenge: []byte("challenge"), Nonce: in.Nonce, Fingerprint: b.agent.Fingerprint}
	if err := identity.Verify(b.agent.Key, identity.NamespaceSession, c.SignedBytes(), in.Signature); err != nil {
		b.t.Error(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		reply(w, b.refuse.Status, b.refuse)
		return
	}
	b.enrolled++
	session := "session-" + string(rune('a'+b.enrolled))
	b.sessions = append(b.sessions, session)
	reply(w, http.StatusOK, api.SessionResponse{Session: session, ExpiresAt: time.Now().Add(api.SessionLife), Name: "anvil"})
}

// forget makes all sessions invalid, as a restart with new keys does.
func (b *broker) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sessions = nil
}

func (b *broker) authorized(next http.HandlerFunc) http.HandlerFunc {
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

func (b *broker) poll(w http.ResponseWriter, r *http.Request) {
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
	p := &poll{status: status, gone: r.Context().Done(), reply: func(status int, body any) { replied <- response{status, body} }}
	select {
	case b.polls <- p:
	case <-r.Context().Done():
		return
	}
	select {
	case r := <-replied:
		reply(w, r.status, r.body)
	case <-r.Context().Done():
	}
}

func (b *broker) answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		b.t.Error(err)
	}
	b.answers <- answer{r.PathValue("job_id"), body}
	w.WriteHeader(http.StatusNoContent)
}

func (b *broker) report(w http.ResponseWriter, r *http.Request) {
	var report api.Report
	b.read(r, &report)
	if err := errors.Join(report.Validate(), identity.Verify(b.agent.Key, identity.NamespaceReport, report.SignedBytes(), report.Signature)); err != nil {
		b.t.Error(err)
	}
	b.reports <- report
	w.WriteHeader(http.StatusNoContent)
}

func (b *broker) read(r *http.Request, v any) {
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		b.t.Error(err)
	}
}

// next returns the next poll.
func (b *broker) next() *poll {
	b.t.Helper()
	return receive(b.t, b.polls, "poll")
}

func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("no %s came", what)
		panic("unreachable")
	}
}
