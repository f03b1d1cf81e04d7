// Package fakefarm is the far end that the client's tests talk to: a small broker
// on a real HTTP socket and a small agent on a real peer connection. They speak
// common/api, common/envelope and common/channel, and do what a test tells them,
// right or wrong: [Hostile] has the wrong. There is no scheduling and no
// compiler in them.
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

// Name is what the operator calls the agent, unless a test says otherwise.
const Name = "bench"

// T is what a far end needs of a testing.TB.
type T interface {
	Errorf(format string, args ...any)
	Cleanup(func())
}

// Agent tells what the agent does with a connection. It runs until it returns;
// then the connection is closed.
type Agent func(ctx context.Context, s *Session) error

// Broker is the far end. Its settings are changed with Set only.
type Broker struct {
	URL string
	Settings

	sealing *envelope.Key
	t       T
	ctx     context.Context
	// awaited ends when no client will connect any more.
	awaited context.Context
	group   sync.WaitGroup
	mu      sync.Mutex
	needs   []api.GrantRequest
	tokens  []string
	queries []string
	offers  [][]byte
	offered int
	latest  map[string]string // grants, by job
	words   []api.Confirmation
}

// Settings tell how the far end behaves.
type Settings struct {
	// Agent does the jobs.
	Agent Agent
	// Key and Name are the agent's.
	Key  *identity.Key
	Name string
	// Allow judges the channels; nil allows all.
	Allow func(label string) error
	// Waits are what the first offers are told instead of an answer.
	Waits []api.Waiting
	// Expired is how many offers before these are told that their grant is too
	// old.
	Expired int
	// Explanation is for those who ask for one.
	Explanation []api.Explained
	// Hold keeps offers from being answered, until their request ends.
	Hold bool
	// Problem is the answer to requests for grants and lists, if it is set: to the
	// first Refusals for a grant, or to all if that is 0.
	Problem  *api.Problem
	Refusals int
	// Ahead is by how much the broker's clock is ahead of the client's.
	Ahead time.Duration
	// Deaf keeps confirmations from being answered, until their request ends.
	Deaf bool
	// Farm is what GET /agents lists.
	Farm []api.AgentInfo
	// Users are the keys that may open a user's session, by fingerprint.
	Users []string
	Hostile
}

// New starts a broker with one agent. The test waits for both at its end, and
// fails with what the agent returns, if that is an error.
func New(t T, agent Agent) *Broker {
	ctx, cancel := context.WithCancel(context.Background())
	b := &Broker{Settings: Settings{Agent: agent, Key: NewKey(t), Name: Name}, t: t, ctx: ctx, latest: map[string]string{}}
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

// Set changes how the far end behaves from the next request on.
func (b *Broker) Set(change func(*Settings)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.Settings)
}

// Needs returns what was asked of the broker so far.
func (b *Broker) Needs() []api.GrantRequest {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]api.GrantRequest(nil), b.needs...)
}

// Tokens returns the bearer tokens of the requests for grants and lists so far;
// that of a request without is empty.
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

// candidates is the one agent, as the broker tells of it.
func (b *Broker) candidates() []api.Candidate {
	b.mu.Lock()
	defer b.mu.Unlock()
	binding, err := b.sealing.Bind(b.Key)
	if err != nil {
		b.t.Errorf("%v", err)
	}
	c := []api.Candidate{{Fingerprint: b.Key.Fingerprint(), Name: b.Name, PublicKey: b.Key.PublicLine(""), Sealing: binding}}
	if b.Candidates != nil {
		c = b.Candidates(c)
	}
	return c
}

// Offers returns the bodies of the offers so far: what a broker gets to see.
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

// Words returns how jobs ended, in the words of clients.
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
	latest, agent, deaf := b.latest[r.PathValue("job_id")], b.Key.Fingerprint(), b.Deaf
	b.words = append(b.words, word)
	b.mu.Unlock()
	if got := r.Header.Get("Authorization"); latest == "" || got != "Bearer "+latest || word.Agent != agent {
		b.t.Errorf("a confirmation under %q of %+v; the grant is %q and the agent %s", got, word, latest, agent)
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
