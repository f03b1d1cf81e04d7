package signaling

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker starts an HTTP server that answers with the handlers, and a client
// to it.
func broker(t *testing.T, handlers map[string]http.HandlerFunc) *Client {
	t.Helper()
	mux := http.NewServeMux()
	for pattern, h := range handlers {
		mux.HandleFunc(pattern, h)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return client(t, server.URL)
}

func client(t *testing.T, url string) *Client {
	t.Helper()
	c, err := New(Config{URL: url, UserAgent: "test/1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func reply(w http.ResponseWriter, status int, v any) {
	kind := api.TypeJSON
	if status >= 400 {
		kind = api.TypeProblem
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func TestConfigThatIsRefused(t *testing.T) {
	for _, cfg := range []Config{
		{}, {URL: "broker.example.org"}, {URL: "https://x/?a=b"}, {URL: "https://x/#y"},
		{URL: "https://x", Wait: time.Millisecond}, {URL: "https://x", Wait: time.Minute},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestLoopback(t *testing.T) {
	for url, want := range map[string]bool{
		"http://127.0.0.1:1": true, "http://[::1]": true, "https://localhost": true, "https://broker.LOCALHOST": true,
		"https://broker.example.org": false, "https://localhost.example.org": false, "https://192.0.2.1": false,
	} {
		if got := client(t, url).Loopback(); got != want {
			t.Errorf("%s: %v", url, got)
		}
	}
}

func TestIntroduceGoesOnOverWaits(t *testing.T) {
	var offers atomic.Int32
	c := broker(t, map[string]http.HandlerFunc{
		"POST " + api.PathGrantRequest: func(w http.ResponseWriter, r *http.Request) {
			reply(w, 200, api.GrantResponse{JobID: "J1", Grant: "first"})
		},
		"POST " + api.PathOffer: func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			n := offers.Add(1)
			// The first wait is short for the place in line, the others are long.
			wait := map[int32]string{1: "4", 2: "25"}[n]
			if r.PathValue("job_id") != "J1" || string(body) != "offer for J1" || r.URL.Query().Get(api.WaitParam) != wait {
				t.Errorf("%s with %q", r.URL, body)
			}
			switch n {
			case 1:
				reply(w, 202, api.Waiting{JobID: "J1", Grant: "second", Position: 3})
			default:
				if got := r.Header.Get("Authorization"); got != "Bearer second" {
					t.Errorf("the fresh grant was not used: %q", got)
				}
				_, _ = w.Write([]byte("answer"))
			}
		},
	})
	var places []int
	got, err := c.Introduce(t.Context(), &api.GrantRequest{}, func(_ context.Context, g *api.GrantResponse) ([]byte, error) {
		return []byte("offer for " + g.JobID), nil
	}, func(w api.Waiting) { places = append(places, w.Position) })
	if err != nil || string(got.Answer) != "answer" || got.Grant.JobID != "J1" || got.Grant.Grant != "second" {
		t.Fatalf("%+v, %v", got, err)
	}
	if len(places) != 1 || places[0] != 3 {
		t.Fatalf("places in the queue: %v", places)
	}
}

// TestNoWaitIsLongerThanPatience: a longer wait would end after the deadline.
func TestNoWaitIsLongerThanPatience(t *testing.T) {
	if got := untilEnd(t.Context(), firstWait); got != firstWait {
		t.Errorf("without a deadline: %v", got)
	}
	synctest.Test(t, func(t *testing.T) {
		for left, want := range map[time.Duration]time.Duration{
			-time.Second: time.Second, 300 * time.Millisecond: time.Second, 2700 * time.Millisecond: 2 * time.Second,
			3400 * time.Millisecond: 2 * time.Second, 20 * time.Second: 19 * time.Second, time.Hour: api.MaxWait,
		} {
			ctx, cancel := context.WithTimeout(t.Context(), left)
			if got := untilEnd(ctx, api.MaxWait); got != want {
				t.Errorf("with %v left: %v, want %v", left, got, want)
			}
			cancel()
		}
	})
}

func TestIntroduceTakesANewGrantForAnExpiredOne(t *testing.T) {
	var grants atomic.Int32
	c := broker(t, map[string]http.HandlerFunc{
		"POST " + api.PathGrantRequest: func(w http.ResponseWriter, r *http.Request) {
			reply(w, 200, api.GrantResponse{JobID: []string{"J1", "J2"}[grants.Add(1)-1], Grant: "g"})
		},
		"POST " + api.PathOffer: func(w http.ResponseWriter, r *http.Request) {
			if r.PathValue("job_id") == "J1" {
				reply(w, http.StatusGone, api.Problem{Code: api.CodeExpired})
				return
			}
			body, _ := io.ReadAll(r.Body)
			_, _ = w.Write(append([]byte("answer to the "), body...))
		},
	})
	got, err := c.Introduce(t.Context(), &api.GrantRequest{}, func(_ context.Context, g *api.GrantResponse) ([]byte, error) {
		return []byte("offer for " + g.JobID), nil
	}, nil)
	if err != nil || got.Grant.JobID != "J2" || string(got.Answer) != "answer to the offer for J2" {
		t.Fatalf("%+v, %v", got, err)
	}
}

// TestOfferOutlivesARestart breaks the connection in the middle of a wait, and
// nothing listens for a moment.
func TestOfferOutlivesARestart(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	held := make(chan struct{})
	first := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == api.PathGrantRequest {
			reply(w, 200, api.GrantResponse{JobID: "J1", Grant: "g"})
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // or the server would not notice its own end
		close(held)
		<-r.Context().Done()
	})}
	served := make(chan error, 2)
	go func() { served <- first.Serve(listener) }()

	c := client(t, "http://"+address)
	type outcome struct {
		answer []byte
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		granted, err := c.RequestGrant(t.Context(), &api.GrantRequest{})
		if err != nil {
			done <- outcome{err: err}
			return
		}
		answer, err := c.Offer(t.Context(), granted, []byte("offer"), nil)
		done <- outcome{answer, err}
	}()
	<-held
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	<-served
	listener, err = net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	second := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("answer")) })}
	go func() { served <- second.Serve(listener) }()
	got := <-done
	if got.err != nil || string(got.answer) != "answer" {
		t.Fatalf("%q, %v", got.answer, got.err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	<-served
}

func TestRefusalsAreNotRepeated(t *testing.T) {
	var calls atomic.Int32
	c := broker(t, map[string]http.HandlerFunc{
		"POST " + api.PathGrantRequest: func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			w.Header().Set("Retry-After", "7")
			reply(w, 503, api.Problem{Code: api.CodeNoTarget, Detail: "no agent builds for esp32s3", Hints: []string{"x"}})
		},
	})
	_, err := c.RequestGrant(t.Context(), &api.GrantRequest{})
	var p *api.Problem
	if !errors.As(err, &p) || p.Code != api.CodeNoTarget || p.Status != 503 || p.RetryAfter != 7 || len(p.Hints) != 1 {
		t.Fatalf("got %#v", err)
	}
	if calls.Load() != 1 {
		t.Fatalf("%d requests", calls.Load())
	}
}

func TestAgentsOfAFreshBrokerAreAwaited(t *testing.T) {
	var calls atomic.Int32
	c := broker(t, map[string]http.HandlerFunc{
		"POST " + api.PathGrantRequest: func(w http.ResponseWriter, r *http.Request) {
			if calls.Add(1) < 3 {
				reply(w, 503, api.Problem{Code: api.CodeNoAgent})
				return
			}
			reply(w, 200, api.GrantResponse{JobID: "J1"})
		},
	})
	if got, err := c.RequestGrant(t.Context(), &api.GrantRequest{}); err != nil || got.JobID != "J1" {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestOtherServersAreUnreachable(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := nobody.Addr().String()
	nobody.Close()

	serve := func(h http.HandlerFunc) string {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return server.URL
	}
	for name, url := range map[string]string{
		"no server": "http://" + address,
		"a website": serve(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", 404) }),
		"a login page": serve(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://login.example.org/", http.StatusFound)
		}),
		"200 in HTML": serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }),
		"endless":     serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, api.MaxBody+2)) }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			_, err := client(t, url).RequestGrant(t.Context(), &api.GrantRequest{})
			var u *Unreachable
			if !errors.As(err, &u) || !strings.Contains(err.Error(), url) {
				t.Fatalf("got %v", err)
			}
			if time.Since(start) > 2*patienceUnknown {
				t.Fatalf("it took %v to give up a broker that never answered", time.Since(start))
			}
		})
	}
}

func TestEveryMethodEndsWithItsContext(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	c := client(t, server.URL)
	key, err := identity.GenerateKey(filepath.Join(t.TempDir(), "id"), "")
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func(context.Context) error{
		"authenticate": func(ctx context.Context) error { _, err := c.Authenticate(ctx, key); return err },
		"poll":         func(ctx context.Context) error { _, err := c.Poll(ctx, "s", &api.Status{}); return err },
		"answer":       func(ctx context.Context) error { return c.Answer(ctx, "s", "J", nil) },
		"report":       func(ctx context.Context) error { return c.Report(ctx, "s", &api.Report{}) },
		"confirm":      func(ctx context.Context) error { return c.Confirm(ctx, "J", "g", &api.Confirmation{}) },
		"keys":         func(ctx context.Context) error { _, err := c.JWKS(ctx); return err },
		"grant":        func(ctx context.Context) error { _, err := c.RequestGrant(ctx, &api.GrantRequest{}); return err },
		"offer": func(ctx context.Context) error {
			_, err := c.Offer(ctx, &api.GrantResponse{JobID: "J"}, nil, nil)
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

// TestConfirmationsAreNotRepeated: a broker that fails gets no further requests.
func TestConfirmationsAreNotRepeated(t *testing.T) {
	var calls atomic.Int32
	c := broker(t, map[string]http.HandlerFunc{
		"POST " + api.PathConfirmation: func(w http.ResponseWriter, r *http.Request) {
			if r.PathValue("job_id") != "J1" || r.Header.Get("Authorization") != "Bearer g" || r.Header.Get("Content-Type") != api.TypeJSON {
				t.Errorf("%s, %v", r.URL, r.Header)
			}
			calls.Add(1)
			reply(w, 500, api.Problem{Code: api.CodeInternal})
		},
	})
	err := c.Confirm(t.Context(), "J1", "g", &api.Confirmation{Agent: "SHA256:x", Outcome: api.OutcomeSucceeded})
	var p *api.Problem
	if !errors.As(err, &p) || p.Code != api.CodeInternal || calls.Load() != 1 {
		t.Fatalf("%v, after %d requests", err, calls.Load())
	}
}

func TestPollReturnsAFreshSession(t *testing.T) {
	polls := 0
	c := broker(t, map[string]http.HandlerFunc{
		"POST " + api.PathAgentPoll: func(w http.ResponseWriter, r *http.Request) {
			polls++
			switch polls {
			case 1:
				w.WriteHeader(http.StatusNoContent)
			case 2:
				w.Header().Set(api.SessionHeader, "fresh")
				w.WriteHeader(http.StatusNoContent)
			case 3:
				w.Header().Set(api.SessionHeader, "fresh")
				reply(w, http.StatusOK, api.Job{JobID: "J"})
			}
		},
	})
	for i, want := range []struct {
		session string
		job     bool
	}{{"", false}, {"fresh", false}, {"fresh", true}} {
		got, err := c.Poll(t.Context(), "old", &api.Status{})
		if err != nil || got.Session != want.session || (got.Job != nil) != want.job {
			t.Errorf("poll %d: %+v, %v", i+1, got, err)
		}
	}
}

func TestAuthenticateRefusesAnotherOrigin(t *testing.T) {
	c := broker(t, map[string]http.HandlerFunc{
		"POST " + api.PathAgentHello: func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 200, api.HelloResponse{Challenge: []byte("c"), Origin: "https://other.example.org"})
		},
		"POST " + api.PathAgentSession: func(http.ResponseWriter, *http.Request) { t.Error("the challenge was signed") },
	})
	key, err := identity.GenerateKey(filepath.Join(t.TempDir(), "id"), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Authenticate(t.Context(), key); err == nil || !strings.Contains(err.Error(), "other.example.org") {
		t.Fatalf("got %v", err)
	}
}

func TestBackoffGrowsAndObeys(t *testing.T) {
	b := Backoff{Base: time.Second, Max: 4 * time.Second}
	for i, bound := range []time.Duration{1, 2, 4, 4, 4} {
		for range 50 {
			try := b
			if d := try.Next(nil); d < 0 || d > bound*time.Second {
				t.Fatalf("wait %d is %v, at most %v", i, d, bound*time.Second)
			}
		}
		b.Next(nil)
	}
	asked := &api.Problem{RetryAfter: 20}
	if d := b.Next(asked); d < 20*time.Second || d > 22*time.Second {
		t.Fatalf("Retry-After: 20 made it wait %v", d)
	}
	for range 100 {
		if d := b.Next(nil); d < 0 || d > 4*time.Second {
			t.Fatalf("after many tries the wait is %v", d)
		}
	}
}

func TestClockFollowsTheBroker(t *testing.T) {
	for _, off := range []time.Duration{0, time.Hour, -time.Hour} {
		c := broker(t, map[string]http.HandlerFunc{
			"POST " + api.PathGrantRequest: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
				reply(w, 200, api.GrantResponse{})
			},
		})
		if c.Skew() != 0 {
			t.Errorf("a skew of %v before the first response", c.Skew())
		}
		if _, err := c.RequestGrant(t.Context(), &api.GrantRequest{}); err != nil {
			t.Fatal(err)
		}
		if d := (c.Skew() - off).Abs(); d > 2*time.Second {
			t.Errorf("the broker is %v ahead, the client thinks %v", off, c.Skew())
		}
		if d := time.Until(c.Now()) - c.Skew(); d.Abs() > time.Second {
			t.Errorf("Now is off by %v", d)
		}
	}
}

func TestGrantRequestsCarryTheToken(t *testing.T) {
	var sessions atomic.Int32
	handlers := map[string]http.HandlerFunc{
		"POST " + api.PathUserSession: func(w http.ResponseWriter, r *http.Request) {
			var in api.SessionRequest
			if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
				t.Error(err)
			}
			key, err := identity.ParseAuthorizedLine(in.PublicKey)
			if err != nil {
				t.Error(err)
			}
			challenge := identity.Challenge{Role: identity.RoleUser, Origin: "http://" + r.Host, Challenge: in.Challenge, Nonce: in.Nonce, Fingerprint: key.Fingerprint}
			if err := identity.Verify(key.Key, identity.NamespaceSession, challenge.SignedBytes(), in.Signature); err != nil {
				t.Error(err)
			}
			sessions.Add(1)
			reply(w, 200, api.SessionResponse{Session: "session", ExpiresAt: time.Now().Add(time.Minute)})
		},
		"POST " + api.PathUserHello: func(w http.ResponseWriter, r *http.Request) {
			reply(w, 200, api.HelloResponse{Challenge: []byte("c"), Origin: "http://" + r.Host})
		},
		"POST " + api.PathGrantRequest: func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Authorization"); got != "Bearer session" {
				t.Errorf("Authorization: %q", got)
			}
			reply(w, 200, api.GrantResponse{JobID: "J"})
		},
	}
	first := broker(t, handlers)
	key, err := identity.GenerateKey(filepath.Join(t.TempDir(), "id"), "")
	if err != nil {
		t.Fatal(err)
	}
	user := &UserSession{Client: first, Key: key}
	c, err := New(Config{URL: first.Origin(), Token: user.Token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for range 3 {
		if _, err := c.RequestGrant(t.Context(), &api.GrantRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	if sessions.Load() != 1 {
		t.Errorf("%d sessions for three grants", sessions.Load())
	}
}
