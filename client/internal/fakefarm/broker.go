// Package fakefarm stands in for a broker and an agent in the client's tests: the broker
// on a real HTTP socket, the agent on a real peer connection. They speak common/api,
// common/envelope and common/channel, and follow the test's settings, honest or hostile
// ([Hostile]). They neither schedule nor compile.
package fakefarm

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/identity"
)

// Name is the agent's name, unless a test sets another.
const Name = "bench"

// T is the part of testing.TB that a farm needs.
type T interface {
	Errorf(format string, args ...any)
	Cleanup(func())
}

// Agent is the behavior of the agent on a connection. The connection is closed when it
// returns.
type Agent func(ctx context.Context, s *Session) error

// Broker is a broker with one agent. Set alone changes its settings.
type Broker struct {
	URL string
	Settings

	sealing *envelope.Key
	t       T
	ctx     context.Context
	// awaited ends when no more clients can connect.
	awaited context.Context
	group   sync.WaitGroup
	mu      sync.Mutex
	needs   []api.GrantRequest
	tokens  []string
	queries []string
	offers  [][]byte
	offered int
	latest  map[string]string // grants, by job
	agents  map[string]bool   // fingerprints of all candidates
	words   []api.Confirmation
}

// Settings are the behavior of the broker and its agent.
type Settings struct {
	// Agent does the jobs.
	Agent Agent
	// Key and Name identify the agent.
	Key  *identity.Key
	Name string
	// Allow judges the channels; nil allows all.
	Allow func(label string) error
	// Waits are the responses to the first offers, in place of an answer.
	Waits []api.Waiting
	// Expired is the number of offers before these that get the response that their
	// grant has expired.
	Expired int
	// Explanation is sent to clients that request one.
	Explanation []api.Explained
	// Hold delays the answers to offers until their requests end.
	Hold bool
	// Problem, if set, is the response to requests for grants and lists: to the first
	// Refusals for a grant, or to all if that is 0.
	Problem  *api.Problem
	Refusals int
	// Ahead is the time by which the broker's clock is ahead of the client's.
	Ahead time.Duration
	// Deaf delays the responses to confirmations until their requests end.
	Deaf bool
	// Farm is the list of GET /agents.
	Farm []api.AgentInfo
	// Users lists the fingerprints of keys that may open a user's session.
	Users []string
	Hostile
}

// New starts a broker with one agent. The test waits for both at its end, and fails
// with an error that the agent returns.
func New(t T, agent Agent) *Broker {
	ctx, cancel := context.WithCancel(context.Background())
	b := &Broker{Settings: Settings{Agent: agent, Key: NewKey(t), Name: Name}, t: t, ctx: ctx, latest: map[string]string{}, agents: map[string]bool{}}
	awaited, giveUp := context.WithCancel(ctx)
	b.awaited = awaited
	var err error
	if b.sealing, err = envelope.NewKey(); err != nil {
		t.Errorf("%v", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+api.PathGrantRequest, b.grant)
	mux.HandleFunc("GET "+api.PathAgents, b.listAgents)
	mux.HandleFunc("POST "+api.PathOffer, b.offer)
	mux.HandleFunc("POST "+api.PathConfirmation, b.confirmation)
	mux.HandleFunc("POST "+api.PathUserHello, b.userHello)
	mux.HandleFunc("POST "+api.PathUserSession, b.userSession)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		ahead := b.Ahead
		b.mu.Unlock()
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		mux.ServeHTTP(w, r)
	}))
	b.URL = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		giveUp()
		b.group.Wait()
		cancel()
	})
	return b
}

// Set changes the settings from the next request on.
func (b *Broker) Set(change func(*Settings)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.Settings)
}

// Needs returns the requests for grants so far.
func (b *Broker) Needs() []api.GrantRequest {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]api.GrantRequest(nil), b.needs...)
}

// Tokens returns the bearer tokens of the requests for grants and lists so far; empty
// for a request without one.
func (b *Broker) Tokens() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.tokens...)
}

func (b *Broker) grant(w http.ResponseWriter, r *http.Request) {
	var need api.GrantRequest
	if err := json.NewDecoder(r.Body).Decode(&need); err != nil {
		b.t.Errorf("grant request: %v", err)
	}
	if err := need.Validate(); err != nil {
		b.t.Errorf("grant request: %v", err)
	}
	b.mu.Lock()
	b.needs = append(b.needs, need)
	b.tokens = append(b.tokens, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	problem, explanation := b.Problem, b.Explanation
	if b.Refusals > 0 && len(b.needs) > b.Refusals {
		problem = nil
	}
	b.mu.Unlock()
	if problem != nil {
		refuse(w, problem)
		return
	}
	id := ulid.Make().String()
	granted := api.GrantResponse{
		JobID: id, Grant: b.newGrant(id, "grant"), ExpiresAt: time.Now().Add(api.GrantLife),
		Candidates: b.candidates(),
	}
	if need.Explain {
		granted.Explanation = explanation
	}
	reply(w, http.StatusOK, granted)
}

// candidates returns the one agent as a candidate.
func (b *Broker) candidates() []api.Candidate {
	b.mu.Lock()
	defer b.mu.Unlock()
	binding, err := b.sealing.Bind(b.Key)
	if err != nil {
		b.t.Errorf("%v", err)
	}
	c := []api.Candidate{{Fingerprint: b.Key.Fingerprint(), Name: b.Name, PublicKey: b.Key.PublicLine(""), Sealing: binding}}
	b.agents[b.Key.Fingerprint()] = true
	if b.Candidates != nil {
		c = b.Candidates(c)
	}
	return c
}

// Offers returns the bodies of the offers so far, as a broker sees them.
func (b *Broker) Offers() [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([][]byte(nil), b.offers...)
}

func (b *Broker) offer(w http.ResponseWriter, r *http.Request) {
	offer, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	b.mu.Lock()
	now := b.Settings
	number := b.offered - now.Expired
	b.offered++
	b.offers = append(b.offers, offer)
	b.mu.Unlock()
	if now.Hold {
		<-r.Context().Done()
		return
	}
	switch {
	case number < 0:
		refuse(w, &api.Problem{Status: http.StatusGone, Code: api.CodeExpired, Detail: "the grant is too old"})
		return
	case number < len(now.Waits):
		waiting := now.Waits[number]
		waiting.JobID, waiting.Grant = r.PathValue("job_id"), b.newGrant(r.PathValue("job_id"), "fresh")
		reply(w, http.StatusAccepted, waiting)
		return
	}
	conn, answer, err := b.answer(r.Context(), now, r.PathValue("job_id"), offer)
	if err != nil {
		b.t.Errorf("answer: %v", err)
		return
	}
	b.group.Go(func() {
		if err := errors.Join(b.work(conn, now, r.PathValue("job_id")), conn.Close()); err != nil {
			b.t.Errorf("agent: %v", err)
		}
	})
	w.Header().Set("Content-Type", api.TypeOpaque)
	_, _ = w.Write(answer)
}

func (b *Broker) newGrant(job, token string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.latest[job] = token
	return token
}

// Words returns the confirmations of clients so far.
func (b *Broker) Words() []api.Confirmation {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]api.Confirmation(nil), b.words...)
}

func (b *Broker) confirmation(w http.ResponseWriter, r *http.Request) {
	var word api.Confirmation
	err := json.NewDecoder(r.Body).Decode(&word)
	if err = errors.Join(err, word.Validate()); err != nil {
		b.t.Errorf("confirmation: %v", err)
	}
	b.mu.Lock()
	latest, known, deaf := b.latest[r.PathValue("job_id")], b.agents[word.Agent] || word.Agent == b.Key.Fingerprint(), b.Deaf
	b.words = append(b.words, word)
	b.mu.Unlock()
	if got := r.Header.Get("Authorization"); latest == "" || got != "Bearer "+latest || !known {
		b.t.Errorf("a confirmation of %+v with the token %q; the grant is %q", word, got, latest)
	}
	if deaf {
		<-r.Context().Done()
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func refuse(w http.ResponseWriter, p *api.Problem) {
	w.Header().Set("Content-Type", api.TypeProblem)
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", api.TypeJSON)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
