package jobs

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	"go.uber.org/goleak"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var big = capacity.Capacity{Cores: 8, MemoryMB: 8192}

// rig is a board with the agents A, B, C and agent0 to agent23, and with short
// names for jobs.
type rig struct {
	*Board
	agents []identity.Authorized

	mu    sync.Mutex
	ids   map[string]string   // of jobs, by name
	names map[string]string   // by id
	ended map[string][]string // the jobs that each agent has answered
}

func newRig(t testing.TB, cfg Config) *rig {
	t.Helper()
	return newRigOf(t, 24, cfg)
}

func newRigOf(t testing.TB, agents int, cfg Config) *rig {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{ids: map[string]string{}, names: map[string]string{}, ended: map[string][]string{}}
	names := []string{"A", "B", "C"}
	for i := range agents {
		names = append(names, fmt.Sprint("agent", i))
	}
	for _, name := range names {
		r.agents = append(r.agents, identity.Authorized{Name: name, Fingerprint: name})
	}
	cfg.Origin, cfg.Signer, cfg.Secret = "https://broker.example.org", grant.NewSigner(key), key.Seed()
	cfg.Directory, cfg.Users = directory.New(r.agents), &users.Registry{Open: true, OIDC: new(users.OIDC)}
	if r.Board, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return r
}

// id returns the id of the job with the name.
func (r *rig) id(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := r.ids[name]
	if id == "" {
		id = ulid.MustNew(ulid.Timestamp(time.Now()), rand.Reader).String()
		r.ids[name], r.names[id] = id, name
	}
	return id
}

// nameOf returns the name of the claimed job.
func (r *rig) nameOf(c *Claim) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.names[c.job.id]
}

// posted is an offer.
type posted struct {
	Job, Client, User, Token string
	Body                     []byte
	Need                     capacity.Capacity
	Candidates               []string
	Wait, Session            time.Duration
}

func offer(name string, wait time.Duration, candidates ...string) posted {
	return posted{
		Job: name, Client: "c", User: users.Anyone, Token: "g", Body: []byte("offer " + name),
		Need: capacity.Capacity{Cores: 1, MemoryMB: 1}, Candidates: candidates, Wait: wait, Session: time.Second,
	}
}

func (r *rig) ticket(o posted) Ticket {
	now := time.Now()
	return Ticket{o.Token, &grant.Grant{
		Issuer: r.cfg.Origin, Subject: o.User, JobID: r.id(o.Job), PeerFingerprint: o.Client, Agents: o.Candidates,
		IssuedAt: now, ExpiresAt: now.Add(api.GrantLife),
		CPUCores: capacity.CoreShare(o.Need.Cores), MemoryMB: o.Need.MemoryMB, SessionSecs: int(o.Session / time.Second),
	}}
}

// Offer posts an offer whose grant another process has signed.
func (r *rig) Offer(ctx context.Context, o posted) ([]byte, error) {
	_, answer, err := r.offer(ctx, r.ticket(o), o.Body, o.Wait)
	return answer, err
}

// polled is an agent's poll with its free capacity.
type polled struct {
	Agent string
	Free  capacity.Capacity
	Wait  time.Duration
}

func poll(agent string, wait time.Duration) polled { return polled{agent, big, wait} }

// Park polls. The status lists the jobs that the agent has answered as ended, so
// that they take no room.
func (r *rig) Park(ctx context.Context, p polled) (*Claim, error) {
	r.mu.Lock()
	ended := append([]string(nil), r.ended[p.Agent]...)
	r.mu.Unlock()
	return r.Poll(ctx, Poll{
		Agent: identity.Authorized{Name: p.Agent, Fingerprint: p.Agent}, Wait: p.Wait,
		Status: &api.Status{
			TotalCores: big.Cores, FreeCores: p.Free.Cores, TotalMemMB: big.MemoryMB, FreeMemMB: p.Free.MemoryMB, EndedJobs: ended,
		},
	})
}

func (r *rig) Answer(name, agent string, body []byte) error {
	id := r.id(name)
	err := r.Board.Answer(id, agent, body)
	if err == nil {
		r.mu.Lock()
		r.ended[agent] = append(r.ended[agent], id)
		r.mu.Unlock()
	}
	return err
}

// Refuse reports that the agent does not take the job, for good if final.
func (r *rig) Refuse(name, agent string, final bool) {
	rep := &api.Report{JobID: r.id(name), Outcome: api.OutcomeRefused}
	if final {
		rep.Outcome = api.OutcomeAgentFailed
	}
	if j, err := r.jobs.find(rep.JobID); err == nil {
		j.mu.Lock()
		rep.Claim = j.number
		j.mu.Unlock()
	}
	_ = r.Report(agent, rep) // an agent without the job may try
}

func (r *rig) Holder(name string) (agent string, known bool) {
	j, err := r.jobs.find(r.id(name))
	if err != nil {
		return "", false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.holder == nil {
		return "", false
	}
	return j.holder.agent, true
}

// result is how a call of Offer or Park ended, and when.
type result struct {
	answer []byte
	as     *Claim
	job    string // that as claims
	err    error
	took   time.Duration
}

func goOffer(ctx context.Context, r *rig, o posted) <-chan result {
	ch := make(chan result, 1)
	go func() {
		start := time.Now()
		answer, err := r.Offer(ctx, o)
		ch <- result{answer: answer, err: err, took: time.Since(start)}
	}()
	return ch
}

func goPark(ctx context.Context, r *rig, p polled) <-chan result {
	ch := make(chan result, 1)
	go func() {
		start := time.Now()
		as, err := r.Park(ctx, p)
		res := result{as: as, err: err, took: time.Since(start)}
		if as != nil {
			res.job = r.nameOf(as)
		}
		ch <- res
	}()
	return ch
}

// longest is how long any record is kept.
const longest = maxQueued + 10*time.Minute

// bubble runs f with a board under a fake clock and checks at the end that
// everything is forgotten.
func bubble(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{})
		defer r.Close()
		f(t, r)
		synctest.Wait()
		time.Sleep(longest)
		synctest.Wait()
		checkEmpty(t, r)
	})
}

func checkEmpty(t *testing.T, r *rig) {
	t.Helper()
	if s := r.Stats(); s.Parked+s.Offering+s.Jobs+s.Waiting+s.Agents+s.Queued+s.Bytes+r.stats.mail.Load() != 0 {
		t.Errorf("left behind: %+v", s)
	}
}

func want(t *testing.T, what string, got <-chan result, answer string, err error) result {
	t.Helper()
	res := <-got
	if string(res.answer) != answer || !errors.Is(res.err, err) || (err == nil && res.err != nil) {
		t.Fatalf("%s: answer %q, error %v; want %q, %v", what, res.answer, res.err, answer, err)
	}
	return res
}

func wantWaiting(t *testing.T, what string, got <-chan result, position int) result {
	t.Helper()
	res := <-got
	var w *WaitingError
	if !errors.As(res.err, &w) || w.Position != position {
		t.Fatalf("%s: %q, %v; want to wait at place %d", what, res.answer, res.err, position)
	}
	return res
}

func wantJob(t *testing.T, what string, got <-chan result, name string) *Claim {
	t.Helper()
	res := <-got
	if res.err != nil || res.as == nil || res.job != name {
		t.Fatalf("%s: job %q, %v; want job %s", what, res.job, res.err, name)
	}
	return res.as
}

func answerOK(t *testing.T, r *rig, name, agent string) {
	t.Helper()
	if err := r.Answer(name, agent, []byte("answer")); err != nil {
		t.Fatalf("answer of %s to %s: %v", agent, name, err)
	}
}

// reported reports how a job ended, which has to be accepted.
func (r *rig) reported(name, agent string, outcome api.Outcome) {
	if err := r.Report(agent, &api.Report{JobID: r.id(name), Outcome: outcome, Signature: "signed"}); err != nil {
		panic(err)
	}
}

func withCancel(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}
