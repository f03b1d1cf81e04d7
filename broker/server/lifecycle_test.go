package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
)

func TestDrain(t *testing.T) {
	w := newWorld(t)
	a, c := w.listAgent("bench-1"), w.listAgent("bench-2")
	w.adjust = func(c *Config) { c.AnswerTimeout = 15 * time.Second } // however slow the machine
	b := w.start()
	b.login(a)
	b.login(c)
	poll := b.park(t.Context(), a)
	g := b.grant()
	claimed := b.offer(t.Context(), g, "")
	as[api.Job](t, <-poll, 200)
	busy := idleStatus()
	busy.FreeCores = 0
	as[struct{}](t, b.post(api.PathAgentPoll+"?wait=0", a.session, busy), 204)
	later := b.grant()
	open := b.offer(t.Context(), later, "")
	b.until("both offers are held", func() bool { return b.srv.board.Stats().Offering == 2 })
	req := idleStatus()
	req.FreeCores = 0
	parked := b.goPost(t.Context(), api.PathAgentPoll, c.session, req)
	b.until("the poll is parked", func() bool { return b.srv.board.Stats().Parked == 1 })

	b.drain()
	as[struct{}](t, <-parked, 204)
	r := <-open
	if waiting := as[api.Waiting](t, r, 202); waiting.JobID != later.JobID || r.header.Get("Retry-After") == "" {
		t.Errorf("a waiting offer got %+v, %v", waiting, r.header)
	}
	// While an offer is claimed, the broker still answers.
	if h := as[api.Health](t, b.send(t.Context(), "GET", api.PathHealth, "", nil), 200); h.Status != "draining" {
		t.Errorf("health %+v", h)
	}
	wantProblem(t, b.post(api.PathGrantRequest, "", grantRequest()), 503, api.CodeDraining)
	wantProblem(t, b.post(api.PathAgentPoll, a.session, idleStatus()), 503, api.CodeDraining)
	as[struct{}](t, b.answer(a, g.JobID), 204)
	wantAnswer(t, claimed, a)
	if err := b.wait(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if r := b.send(t.Context(), "GET", api.PathHealth, "", nil); r.err == nil {
		t.Error("the broker still answers")
	}
}

func TestSecondSignalCutsOff(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	w.adjust = func(c *Config) { c.AnswerTimeout = 20 * time.Second }
	b := w.start()
	b.login(a)
	poll := b.park(t.Context(), a)
	offer := b.offer(t.Context(), b.grant(), "")
	as[api.Job](t, <-poll, 200)
	b.drain()
	b.until("it drains", func() bool { return b.srv.board.Draining() })
	b.kill()
	if err := b.wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
	if r := <-offer; r.err == nil {
		t.Errorf("the claimed offer got %d %s", r.status, r.body)
	}
}

func TestRestartMidWait(t *testing.T) {
	for name, crash := range map[string]bool{"drained": false, "killed": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := w.listAgent("bench-1")
			one := w.start()
			one.login(a)
			as[struct{}](t, one.post(api.PathAgentPoll+"?wait=0", a.session, idleStatus()), 204)
			g := one.grant()
			offer := one.offer(t.Context(), g, "")
			one.until("the offer waits", func() bool { return one.srv.board.Stats().Offering == 1 })
			if crash {
				one.kill()
				<-offer
			} else {
				one.drain()
				g.Grant = as[api.Waiting](t, <-offer, 202).Grant
			}
			_ = one.wait()

			// The next broker accepts the grant and the session because of the key.
			two := w.start()
			poll := two.park(t.Context(), a)
			offer = two.offer(t.Context(), g, "")
			if job := as[api.Job](t, <-poll, 200); job.JobID != g.JobID || job.Grant != g.Grant {
				t.Errorf("job %+v", job)
			}
			as[struct{}](t, two.answer(a, g.JobID), 204)
			wantAnswer(t, offer, a)
		})
	}
}

func TestAJobWhoseAgentsAreOfflineEnds(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	w.adjust = func(c *Config) { c.AgentGrace = 20 * time.Millisecond }
	b := w.start()
	b.login(a)
	ctx, hangUp := context.WithCancel(t.Context())
	b.park(ctx, a)
	g := b.grant()
	hangUp()
	b.until("the agent counts as gone", func() bool {
		v, _ := b.srv.cfg.Directory.Agent(a.key.Fingerprint())
		return !v.Parked
	})
	b.clock.pass(b.srv.cfg.AgentGrace + time.Second)
	wantProblem(t, <-b.offer(t.Context(), g, "?wait=0"), 503, api.CodeNoAgent)
}

func TestAnUnlistedAgentLosesItsSession(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.login(a)
	as[struct{}](t, b.post(api.PathAgentPoll+"?wait=0", a.session, idleStatus()), 204)
	b.srv.cfg.Directory.Replace(nil)
	wantProblem(t, b.post(api.PathAgentPoll+"?wait=0", a.session, idleStatus()), 401, api.CodeBadToken)
}

// syncBuffer collects a log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestLogsHoldNoAddresses(t *testing.T) {
	for _, unsafe := range []bool{false, true} {
		var out syncBuffer
		w := newWorld(t)
		w.adjust = func(c *Config) {
			c.Logger = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
			c.UnsafeLogging = unsafe
		}
		b := w.start()
		as[api.Health](t, b.send(t.Context(), "GET", api.PathHealth, "", nil), 200)
		b.srv.errorLog().Print("http: TLS handshake error from 127.0.0.1:4321: EOF")
		b.until("the request is logged", func() bool { return strings.Contains(out.String(), "route=health") })
		if got := out.String(); strings.Contains(got, "127.0.0.1") != unsafe || !strings.Contains(got, "TLS handshake") {
			t.Errorf("with unsafe=%v the log is\n%s", unsafe, got)
		}
	}
}

func TestScrub(t *testing.T) {
	for in, want := range map[string]string{
		"from 192.0.2.1:443: EOF":          "from [address]: EOF",
		"from 192.0.2.1 again":             "from [address] again",
		"read tcp [2001:db8::1]:443->x":    "read tcp [address]->x",
		"at 2001:db8:0:1:2:3:4:5 now":      "at [address] now",
		"at ::1 now":                       "at [address] now",
		"at fe80::1%eth0 now":              "at [address] now",
		"at ::ffff:192.0.2.1 now":          "at [address] now",
		"version 1.2.3 of farforge: fine":  "version 1.2.3 of farforge: fine",
		"Go 1.26, HTTP/1.1, code: 5: done": "Go 1.26, HTTP/1.1, code: 5: done",
	} {
		if got := scrub(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	var out syncBuffer
	w := newWorld(t)
	w.adjust = func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&out, nil)) }
	b := w.start()
	ts := httptest.NewServer(b.srv.wrap("test", func(*response, *http.Request) error { panic("boom") }))
	defer ts.Close()
	b.url = ts.URL
	wantProblem(t, b.send(t.Context(), "GET", "/", "", nil), 500, api.CodeInternal)
	ts.Config.Handler = b.srv.wrap("test", func(*response, *http.Request) error { return errors.New("a secret reason") })
	if r := b.send(t.Context(), "GET", "/", "", nil); strings.Contains(string(r.body), "secret") {
		t.Error("the response has an internal error")
	}
	if !strings.Contains(out.String(), "boom") || !strings.Contains(out.String(), "a secret reason") {
		t.Errorf("the log lacks the reasons:\n%s", out.String())
	}
}

func TestMetricsOnAListenerOfTheirOwn(t *testing.T) {
	w := newWorld(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.adjust = func(c *Config) { c.HideMetrics = true }
	b := w.start()
	wantProblem(t, b.send(t.Context(), "GET", api.PathMetrics, "", nil), 404, api.CodeNotFound)

	other := w.start().srv
	api2, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- other.Run(ctx, nil, Listeners{API: api2, Metrics: ln}) }()
	b.url = "http://" + ln.Addr().String()
	if r := b.send(t.Context(), "GET", api.PathMetrics, "", nil); r.status != 200 || !strings.Contains(string(r.body), "farforge_broker_agents_listed 0") {
		t.Errorf("metrics: %d %s", r.status, r.body)
	}
	cancel()
	<-done
}

func TestConfigIsChecked(t *testing.T) {
	for i := range 4 {
		w := newWorld(t)
		var good Config
		w.adjust = func(c *Config) { good = *c }
		w.start()
		[]func(){
			func() { good.Origin = "" }, func() { good.Signer = nil },
			func() { good.Secret = good.Secret[:31] }, func() { good.Directory = nil },
		}[i]()
		if _, err := New(good); err == nil {
			t.Errorf("case %d was accepted", i)
		}
	}
}

func TestAGrantInTheRecordExpiresToo(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	as[struct{}](t, b.post(api.PathAgentPoll+"?wait=0", b.login(a).session, idleStatus()), 204)
	g := b.grant()
	as[api.Waiting](t, <-b.offer(t.Context(), g, "?wait=0"), 202)
	b.clock.pass(api.GrantLife + time.Second)
	wantProblem(t, <-b.offer(t.Context(), g, "?wait=0"), 410, api.CodeExpired)
}

func (s *syncBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(s, nil)) }
