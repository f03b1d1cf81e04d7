package server

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/jobs"
	"github.com/farforge/farforge/broker/login"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
)

func TestMain(m *testing.M) {
	if os.Getenv(benchEnv) != "" {
		benchBroker()
		return
	}
	// net/http lingers for half a second after it has refused a long body.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

var fingerprint = strings.TrimSuffix(strings.Repeat("AB:", 32), ":")

// world has the state that outlives a broker: its key, the listed agents, the time.
type world struct {
	t      testing.TB
	key    ed25519.PrivateKey
	agents []identity.Authorized
	http   *http.Client
	clock  *clock
	adjust func(*Config)
}

// clock is the brokers' time, which a test moves on.
type clock struct{ ahead atomic.Int64 }

func (c *clock) pass(d time.Duration) { c.ahead.Add(int64(d)) }
func (c *clock) now() time.Time       { return time.Now().Add(time.Duration(c.ahead.Load())) }

func newWorld(t testing.TB) *world {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 1000}
	t.Cleanup(transport.CloseIdleConnections)
	return &world{t: t, key: key, clock: new(clock), http: &http.Client{Transport: transport, Timeout: 30 * time.Second}, adjust: func(*Config) {}}
}

// broker is one running broker, reached over real HTTP.
type broker struct {
	*world
	srv *Server
	url string
	// drain and kill are the first and the second signal; wait returns the result
	// of Run.
	drain, kill func()
	wait        func() error
}

// start runs a broker on a free loopback port. Its origin is the world's, so that
// a broker accepts the tokens of the one before.
func (w *world) start() *broker {
	w.t.Helper()
	cfg := Config{Version: "test", ExactMetrics: true, Config: jobs.Config{
		Origin: "https://broker.example.org", Signer: grant.NewSigner(w.key), Secret: w.key.Seed(),
		Directory: directory.New(w.agents), Users: &users.Registry{Open: true}, Now: w.clock.now,
	}}
	w.adjust(&cfg)
	srv, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, kill := context.WithCancel(context.Background())
	drain, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- srv.Run(ctx, drain, Listeners{API: ln})
		srv.Close()
	}()
	b := &broker{
		world: w, srv: srv, url: "http://" + ln.Addr().String(), kill: kill,
		drain: sync.OnceFunc(func() { close(drain) }),
		wait:  sync.OnceValue(func() error { return <-done }),
	}
	w.t.Cleanup(func() { kill(); _ = b.wait() })
	return b
}

// agentTokens makes the tokens of agents that a broker with the key makes.
func agentTokens(key ed25519.PrivateKey) *login.Tokens {
	return &login.Tokens{Secret: key.Seed(), Origin: "https://broker.example.org", Role: identity.RoleAgent}
}

// agent is a listed agent with a real SSH key.
type agent struct {
	name    string
	key     *identity.Key
	session string
	ended   []string // the jobs that it has answered
}

func (w *world) newAgent(name string) *agent {
	w.t.Helper()
	key, err := identity.GenerateKey(filepath.Join(w.t.TempDir(), "key"), name)
	if err != nil {
		w.t.Fatal(err)
	}
	return &agent{name: name, key: key}
}

// listAgent makes an agent that is listed at every broker that starts later.
func (w *world) listAgent(name string) *agent {
	w.t.Helper()
	a := w.newAgent(name)
	who, err := identity.ParseAuthorizedLine(a.key.PublicLine(name))
	if err != nil {
		w.t.Fatal(err)
	}
	w.agents = append(w.agents, who)
	return a
}

// reply is a response, read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
	err    error
}

// send sends the body: bytes as they are, anything else as JSON.
func (b *broker) send(ctx context.Context, method, path, token string, body any) reply {
	data, opaque := body.([]byte)
	mediaType := api.TypeOpaque
	if !opaque {
		var err error
		if data, err = json.Marshal(body); err != nil {
			b.t.Fatal(err)
		}
		mediaType = api.TypeJSON
	}
	req, err := http.NewRequestWithContext(ctx, method, b.url+path, bytes.NewReader(data))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return b.do(req)
}

func (b *broker) do(req *http.Request) reply {
	resp, err := b.http.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, data, err}
}

func (b *broker) post(path, token string, body any) reply {
	return b.send(b.t.Context(), http.MethodPost, path, token, body)
}

func (b *broker) goPost(ctx context.Context, path, token string, body any) <-chan reply {
	ch := make(chan reply, 1)
	go func() { ch <- b.send(ctx, http.MethodPost, path, token, body) }()
	return ch
}

// as decodes a response with the status into T, or fails the test.
func as[T any](t testing.TB, r reply, status int) T {
	t.Helper()
	var v T
	if r.err != nil || r.status != status {
		t.Fatalf("status %d, %s, %v; want %d", r.status, r.body, r.err, status)
	}
	if len(r.body) > 0 {
		if err := json.Unmarshal(r.body, &v); err != nil {
			t.Fatalf("%s: %v", r.body, err)
		}
	}
	return v
}

// wantProblem checks that r is a problem document with the status and code.
func wantProblem(t testing.TB, r reply, status int, code api.Code) api.Problem {
	t.Helper()
	if r.err != nil {
		t.Errorf("no response: %v; want %d %s", r.err, status, code)
		return api.Problem{}
	}
	var p api.Problem
	if err := json.Unmarshal(r.body, &p); err != nil {
		t.Errorf("%d %q is not a problem document: %v; want %d %s", r.status, r.body, err, status, code)
		return p
	}
	if r.status != status || p.Status != status || p.Code != code || r.header.Get("Content-Type") != api.TypeProblem {
		t.Errorf("%d, %s, %s; want %d %s", r.status, r.header.Get("Content-Type"), r.body, status, code)
	}
	if p.Detail == "" || p.Title == "" || p.Type == "" {
		t.Errorf("a problem without detail, title or type: %s", r.body)
	}
	if after := r.header.Get("Retry-After"); (p.RetryAfter > 0) != (after != "") || after != "" && after != fmt.Sprint(p.RetryAfter) {
		t.Errorf("Retry-After %q, retry_after %d", after, p.RetryAfter)
	}
	return p
}

// greet is hello; sign turns the challenge into a session request.
func (b *broker) greet(a *agent) (*api.SessionRequest, api.HelloResponse) {
	b.t.Helper()
	nonce := make([]byte, api.NonceSize)
	rand.Read(nonce)
	line := a.key.PublicLine(a.name)
	hello := as[api.HelloResponse](b.t, b.post(api.PathAgentHello, "", &api.HelloRequest{PublicKey: line, Nonce: nonce}), 200)
	return &api.SessionRequest{PublicKey: line, Nonce: nonce, Challenge: hello.Challenge}, hello
}

func (a *agent) sign(t testing.TB, origin string, r *api.SessionRequest) {
	t.Helper()
	message := identity.Challenge{Role: identity.RoleAgent, Origin: origin, Challenge: r.Challenge, Nonce: r.Nonce, Fingerprint: a.key.Fingerprint()}.SignedBytes()
	signature, err := a.key.Sign(identity.NamespaceSession, message)
	if err != nil {
		t.Fatal(err)
	}
	r.Signature = signature
}

// login opens a session.
func (b *broker) login(a *agent) *agent {
	b.t.Helper()
	req, hello := b.greet(a)
	a.sign(b.t, hello.Origin, req)
	s := as[api.SessionResponse](b.t, b.post(api.PathAgentSession, "", req), 200)
	if s.Name != a.name || time.Until(s.ExpiresAt) < api.SessionLife/2 {
		b.t.Fatalf("session %+v", s)
	}
	a.session = s.Session
	return a
}

func idleStatus() *api.Status {
	return &api.Status{
		Version: "test", TotalCores: 4, FreeCores: 4, TotalMemMB: 4096, FreeMemMB: 4096,
		Capabilities: []api.Capability{{Target: "esp32c3", Toolchain: "riscv-gcc", Version: "12.2.0"}},
	}
}

// park polls and returns once the agent is parked.
func (b *broker) park(ctx context.Context, a *agent) <-chan reply {
	b.t.Helper()
	status := idleStatus()
	status.EndedJobs = a.ended
	ch := b.goPost(ctx, api.PathAgentPoll, a.session, status)
	b.until("agent "+a.name+" is parked", func() bool {
		v, ok := b.srv.cfg.Directory.Agent(a.key.Fingerprint())
		return ok && v.Parked
	})
	return ch
}

// until waits for a condition of the running broker.
func (b *broker) until(what string, cond func() bool) {
	b.t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("this never happened: %s", what)
		}
	}
}

func grantRequest() *api.GrantRequest {
	return &api.GrantRequest{
		PeerFingerprint: fingerprint, RequiredChannels: []string{"espctl"},
		CPUCores: 1, MemoryMB: 256, TimeoutSecs: 60, Target: "esp32c3",
	}
}

func (b *broker) grant() api.GrantResponse {
	b.t.Helper()
	return b.granted("")
}

func (b *broker) granted(token string) api.GrantResponse {
	b.t.Helper()
	return as[api.GrantResponse](b.t, b.post(api.PathGrantRequest, token, grantRequest()), 200)
}

func pathOf(pattern, job string) string { return strings.Replace(pattern, "{job_id}", job, 1) }

func (b *broker) offer(ctx context.Context, g api.GrantResponse, query string) <-chan reply {
	return b.goPost(ctx, pathOf(api.PathOffer, g.JobID)+query, g.Grant, []byte("offer of "+g.JobID))
}

// answer answers a job for the agent, whose later polls report the job as ended.
func (b *broker) answer(a *agent, job string) reply {
	a.ended = append(a.ended, job)
	a.ended = a.ended[max(len(a.ended)-api.MaxEnded, 0):]
	return b.post(pathOf(api.PathAnswer, job), a.session, []byte("answer by "+a.name))
}

// meet plays a job from its offer until the client has the answer of the agent
// whose poll is parked, and returns what that poll got.
func (b *broker) meet(g api.GrantResponse, a *agent, poll <-chan reply) api.Job {
	b.t.Helper()
	offer := b.offer(b.t.Context(), g, "")
	job := as[api.Job](b.t, <-poll, 200)
	as[struct{}](b.t, b.answer(a, g.JobID), 204)
	wantAnswer(b.t, offer, a)
	return job
}

// report reports how the agent's job has ended.
func (b *broker) report(a *agent, job string, outcome api.Outcome) {
	b.t.Helper()
	rep := &api.Report{JobID: job, Outcome: outcome, DurationMS: 1}
	var err error
	if rep.Signature, err = a.key.Sign(identity.NamespaceReport, rep.SignedBytes()); err != nil {
		b.t.Fatal(err)
	}
	as[struct{}](b.t, b.post(api.PathAgentReport, a.session, rep), 204)
}

func wantAnswer(t testing.TB, offer <-chan reply, a *agent) {
	t.Helper()
	r := <-offer
	if r.err != nil || r.status != 200 || string(r.body) != "answer by "+a.name || r.header.Get("Content-Type") != api.TypeOpaque {
		t.Fatalf("offer: %d %s %v; want the answer by %s", r.status, r.body, r.err, a.name)
	}
}

// signGrant signs any grant with the world's key.
func (w *world) signGrant(change func(*grant.Grant)) string {
	return signWith(w.t, w.key, change)
}

const someJob = "01ARZ3NDEKTSV4RRFFQ69G5FAV"

func signWith(t testing.TB, key ed25519.PrivateKey, change func(*grant.Grant)) string {
	t.Helper()
	now := time.Now()
	g := &grant.Grant{
		Issuer: "https://broker.example.org", Subject: users.Anyone, JobID: someJob,
		IssuedAt: now, ExpiresAt: now.Add(api.GrantLife), PeerFingerprint: fingerprint,
		Agents: []string{"SHA256:x"}, Channels: []string{"espctl"}, CPUCores: 1, MemoryMB: 1, SessionSecs: 1,
	}
	change(g)
	token, err := grant.NewSigner(key).Sign(g)
	if err != nil {
		t.Fatal(err)
	}
	return token
}
