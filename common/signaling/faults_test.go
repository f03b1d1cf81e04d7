package signaling

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/front/fronttest"
	"github.com/farforge/farforge/common/identity"
)

// TestPermanentFaults: each of these needs a person. The first request names the
// cause, with the hint that a probe of the same way gives, and none follows it.
func TestPermanentFaults(t *testing.T) {
	ca := fronttest.NewCA(t)
	var requests atomic.Int32
	count := func(h http.HandlerFunc) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { requests.Add(1); h(w, r) })
	}
	notFound := count(func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 404, api.Problem{Title: "Not Found", Status: 404, Code: api.CodeNotFound})
	})
	plain := httptest.NewServer(notFound)
	t.Cleanup(plain.Close)
	secure := func(names ...string) *httptest.Server {
		s := httptest.NewUnstartedServer(notFound)
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.TLS = ca.TLS(names...)
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	own := secure("127.0.0.1", "localhost")
	redirect := httptest.NewServer(count(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusMovedPermanently)
	}))
	t.Cleanup(redirect.Close)
	login := httptest.NewServer(count(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://login.example.org/", http.StatusFound)
	}))
	t.Cleanup(login.Close)
	ssh := banner(t, "SSH-2.0-OpenSSH_9.2\r\n")
	host := func(s *httptest.Server) string {
		return strings.TrimPrefix(strings.TrimPrefix(s.URL, "https://"), "http://")
	}
	for name, c := range map[string]struct{ url, ca, says, hint string }{
		"http instead of https":         {"http://" + host(own), ca.File(), "speaks TLS", "--url https://" + host(own)},
		"http that redirects":           {redirect.URL, "", "redirects to https", "--url https://" + host(redirect)},
		"https to a plain port":         {"https://" + host(plain), "", "", "does not speak TLS"},
		"unknown authority":             {"https://" + host(own), fronttest.NewCA(t).File(), "unknown authority", "--ca-file"},
		"certificate of another site":   {"https://" + host(secure("other.example")), ca.File(), "certificate", "check the URL"},
		"expired certificate, or clock": {"https://" + host(expired(t, ca)), ca.File(), "expired", "check this machine's clock"},
		"a path in the URL":             {"https://localhost:" + port(host(own))[len("localhost:"):] + "/broker", ca.File(), "below the path /broker", "leave the path out of the URL"},
		"something else over http":      {"http://" + ssh, "", "malformed HTTP", "does not speak HTTP"},
		"something else over https":     {"https://" + ssh, "", "", "does not speak TLS"},
		"a login page":                  {login.URL, "", "302 Found", "login page"},
	} {
		for _, imitate := range []string{"", "hellofirefox_auto"} {
			if imitate != "" && !strings.HasPrefix(c.url, "https:") {
				continue
			}
			t.Run(name+" "+imitate, func(t *testing.T) {
				ways, err := NewWays(c.url, Reach{CAFile: c.ca, Proxy: "none", Imitate: imitate}, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				client, err := New(Config{URL: c.url, Ways: ways})
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				before := requests.Load()
				_, err = client.RequestGrant(t.Context(), &api.GrantRequest{})
				var u *Unreachable
				if !errors.As(err, &u) || !u.Permanent || Retryable(err) || !strings.Contains(err.Error(), c.says) || !strings.Contains(strings.Join(u.Hints, "\n"), c.hint) {
					t.Fatalf("got %v, hints %q", err, u.Hints)
				}
				if n := requests.Load() - before; n > 1 {
					t.Errorf("%d requests", n)
				}
				client.Probe(t.Context(), func(p Probe) {
					last := p.Steps[len(p.Steps)-1]
					if p.Works() || last.Advice(p.Way, "none") != u.Hints[0] {
						t.Errorf("the probe advises %q at %s, the request %q", last.Advice(p.Way, "none"), last.Name, u.Hints[0])
					}
				})
			})
		}
	}
}

// banner serves a protocol that is neither HTTP nor TLS.
func banner(t *testing.T, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, text)
			_, _ = conn.Read(make([]byte, 1024))
			conn.Close()
		}
	}()
	return l.Addr().String()
}

func expired(t *testing.T, ca *fronttest.CA) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = ca.ExpiredTLS("127.0.0.1")
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// TestKnownBrokersAreRetried: a fault that would be permanent may pass at a
// broker that has answered before, such as a certificate that expires.
func TestKnownBrokersAreRetried(t *testing.T) {
	c := broker(t, nil)
	c.reached.Store(true)
	u := c.unreachable(c.ways.routes[0], new(progress), 0, x509.CertificateInvalidError{Reason: x509.Expired})
	if u.Permanent || !Retryable(u) {
		t.Error("a broker that has answered is given up at once")
	}
}

// TestPassingFaultsAreRetried: proxies and brokers that are busy or away answer
// so, and break off.
func TestPassingFaultsAreRetried(t *testing.T) {
	breakOff := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			conn.Close()
		}
	}
	half := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte(`{"job_id":`))
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "proxy", code) }
	}
	for name, fault := range map[string]http.HandlerFunc{
		"429": status(429), "502": status(502), "503": status(503), "504": status(504),
		"breaks off": breakOff, "breaks off in the body": half,
		"429 of a broker": func(w http.ResponseWriter, _ *http.Request) { reply(w, 429, api.Problem{Code: api.CodeTooFast}) },
		"500 of a broker": func(w http.ResponseWriter, _ *http.Request) { reply(w, 500, api.Problem{Code: api.CodeInternal}) },
		"draining":        func(w http.ResponseWriter, _ *http.Request) { reply(w, 503, api.Problem{Code: api.CodeDraining}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			c := broker(t, map[string]http.HandlerFunc{"POST " + api.PathGrantRequest: func(w http.ResponseWriter, r *http.Request) {
				if calls.Add(1) == 1 {
					fault(w, r)
					return
				}
				reply(w, 200, api.GrantResponse{JobID: "J1"})
			}})
			if got, err := c.RequestGrant(t.Context(), &api.GrantRequest{}); err != nil || got.JobID != "J1" {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// TestRetryAfterIsBounded: a pause of a broker's choice once overflowed, and
// stalled or crashed its clients.
func TestRetryAfterIsBounded(t *testing.T) {
	for _, asked := range []int{math.MaxInt, 9223372037, 9223372036, 1 << 40, 100 * 365 * 24 * 3600, -1, math.MinInt} {
		body, err := json.Marshal(api.Problem{Code: api.CodeTooFast, RetryAfter: asked})
		if err != nil {
			t.Fatal(err)
		}
		c := broker(t, map[string]http.HandlerFunc{"POST " + api.PathGrantRequest: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", api.TypeProblem)
			w.WriteHeader(429)
			_, _ = w.Write(body)
		}})
		_, err = c.AskGrant(t.Context(), &api.GrantRequest{})
		var p *api.Problem
		if !errors.As(err, &p) || p.RetryAfter < 0 || p.RetryAfter > 3600 {
			t.Errorf("%d: %+v", asked, err)
		}
		for _, e := range []error{p, &api.Problem{RetryAfter: asked}} {
			if d := new(Backoff).Next(e); d < 0 || d > maxRetryAfter+maxRetryAfter/10 {
				t.Errorf("%d: the next try is in %v", asked, d)
			}
		}
		if d := retryAfter(http.Header{"Retry-After": {fmt.Sprint(asked)}}); d < 0 || d > maxRetryAfter {
			t.Errorf("%d: the header makes a pause of %v", asked, d)
		}
	}
}

// TestAnotherGrantWhenTheCandidatesAreGone: a job waits in line, its candidates
// go offline, and other agents are idle.
func TestAnotherGrantWhenTheCandidatesAreGone(t *testing.T) {
	var grants atomic.Int32
	c := broker(t, map[string]http.HandlerFunc{
		"POST " + api.PathGrantRequest: func(w http.ResponseWriter, r *http.Request) {
			reply(w, 200, api.GrantResponse{JobID: fmt.Sprint("J", grants.Add(1)), Grant: "g"})
		},
		"POST " + api.PathOffer: func(w http.ResponseWriter, r *http.Request) {
			if r.PathValue("job_id") == "J1" {
				reply(w, 503, api.Problem{Code: api.CodeNoAgent, RetryAfter: 30})
				return
			}
			_, _ = w.Write([]byte("answer"))
		},
	})
	got, err := c.Introduce(t.Context(), &api.GrantRequest{}, func(_ context.Context, g *api.GrantResponse) ([]byte, error) {
		return []byte("offer for " + g.JobID), nil
	}, nil)
	if err != nil || got.Grant.JobID != "J2" || string(got.Answer) != "answer" {
		t.Fatalf("%+v, %v", got, err)
	}
}

// TestPatienceCountsFailingTimeOnly: a broker holds requests for long and loses
// each of them. Only the pauses between them are failing time.
func TestPatienceCountsFailingTimeOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{log: discard()}
		c.reached.Store(true)
		calls, began := 0, time.Now()
		err := c.insist(t.Context(), 0, func() error {
			if calls++; calls == 5 {
				return nil
			}
			time.Sleep(25 * time.Second)
			return &Unreachable{Err: io.ErrUnexpectedEOF, held: 25 * time.Second}
		})
		if err != nil || calls != 5 {
			t.Errorf("given up after %d requests and %v: %v", calls, time.Since(began), err)
		}
		// A broker that does not hold them has used up the patience.
		calls, began = 0, time.Now()
		err = c.insist(t.Context(), 0, func() error {
			calls++
			time.Sleep(10 * time.Second)
			return &Unreachable{Err: io.ErrUnexpectedEOF}
		})
		if took := time.Since(began); err == nil || took > patienceKnown+10*time.Second {
			t.Errorf("given up after %d requests and %v: %v", calls, took, err)
		}
	})
}

// TestSilentBroker accepts connections and never answers. The user's patience
// ends first; the error must name the broker all the same.
func TestSilentBroker(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	c := client(t, server.URL)
	ctx, cancel := context.WithTimeout(t.Context(), silence+500*time.Millisecond)
	defer cancel()
	_, err := c.Introduce(ctx, &api.GrantRequest{}, nil, nil)
	var u *Unreachable
	if !errors.As(err, &u) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "has not answered") || len(u.Hints) == 0 {
		t.Errorf("got %v", err)
	}
}

// TestFrontRecovers: a front's failure shortens later waits only if the request
// was sent, longer than the front has allowed before, and for a while.
func TestFrontRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &route{Way: Way{Leg: LegFront}, longest: api.MaxWait}
		want := func(what string, d time.Duration) {
			t.Helper()
			if got := r.allows(); got != d {
				t.Errorf("%s the wait is %v, want %v", what, got, d)
			}
		}
		r.cut(0)
		want("after a failure to connect", api.MaxWait)
		r.cut(3 * time.Second)
		want("after a cut at 3 s", 2*time.Second)
		time.Sleep(lookBack + time.Second)
		want("a while later", api.MaxWait)
		r.answered(20 * time.Second)
		r.cut(1200 * time.Millisecond)
		want("after a failure of another kind", api.MaxWait)
		r.cut(21 * time.Second)
		want("after a cut at 21 s", 15*time.Second)
	})
	direct := &route{Way: Way{Leg: LegDirect}, longest: api.MaxWait}
	direct.cut(3 * time.Second)
	if direct.allows() != api.MaxWait {
		t.Error("a restart of the broker shortens waits")
	}
}

// TestRequestsThatWereNotSentShortenNothing has a front that accepts connections
// and breaks off its handshakes late.
func TestRequestsThatWereNotSentShortenNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			time.Sleep(1100 * time.Millisecond)
			conn.Close()
		}
	}()
	f := &far{ca: fronttest.NewCA(t), url: "https://" + hidden}
	c := f.client(t, Reach{Fronts: []string{port(l.Addr().String())}}, nil)
	if _, err := c.Poll(t.Context(), "s", &api.Status{}); err == nil {
		t.Fatal("the poll came through")
	}
	if got := c.ways.routes[0].allows(); got != api.MaxWait {
		t.Errorf("later polls ask for %v", got)
	}
}

// TestDetourIsForgotten: daily use must not prolong the memory of a detour.
func TestDetourIsForgotten(t *testing.T) {
	m := &memory{path: filepath.Join(t.TempDir(), "rendezvous.json"), log: discard()}
	found := time.Now().Add(-memoryLife + time.Hour).UTC().Truncate(time.Second)
	if err := m.write(map[string]kept{"https://x": {Leg: LegFront, Via: "a", At: found}}); err != nil {
		t.Fatal(err)
	}
	m.keep("https://x", Way{LegFront, "a"})
	all, err := m.read()
	if err != nil || !all["https://x"].At.Equal(found) {
		t.Errorf("after use it was found at %v, %v; before at %v", all["https://x"].At, err, found)
	}
	m.keep("https://x", Way{LegDirect, ""})
	if all, err = m.read(); err != nil || all["https://x"].Leg != LegDirect || time.Since(all["https://x"].At) > time.Minute {
		t.Errorf("another way is kept as %+v, %v", all["https://x"], err)
	}
}

func TestPlainHTTPIsRefused(t *testing.T) {
	for text, ok := range map[string]bool{
		"http://broker.example.org": false, "http://192.0.2.1:8080": false, "http://localhost.example.org": false,
		"http://127.0.0.1:8080": true, "http://[::1]": true, "http://localhost": true, "https://broker.example.org": true,
	} {
		if _, err := New(Config{URL: text}); errors.Is(err, ErrPlainHTTP) == ok || ok && err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if _, err := NewWays(text, Reach{AllowPlainHTTP: true}, nil, nil); err != nil {
			t.Errorf("%s, allowed: %v", text, err)
		}
	}
}

// TestInternationalHostNames: both spellings of a name are one origin, and one
// address.
func TestInternationalHostNames(t *testing.T) {
	const ascii = "https://xn--bcher-kva.example"
	for _, text := range []string{"https://bücher.example", "https://BÜCHER.example/", "https://xn--bcher-kva.example", "https://XN--BCHER-KVA.example:443", "https://bu\u0308cher.example"} {
		ways, err := NewWays(text, Reach{}, nil, nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		c, err := New(Config{URL: ascii, Ways: ways})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if other, err := New(Config{URL: text}); err != nil || other.Origin() != c.Origin() || other.Origin() != ascii || other.base.Host != "xn--bcher-kva.example" {
			t.Errorf("%s: %+v, %v", text, other, err)
		}
	}
	// A login needs the broker to call itself as it was dialed.
	key, err := identity.GenerateKey(filepath.Join(t.TempDir(), "id"), "")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case api.PathAgentHello:
			reply(w, 200, api.HelloResponse{Challenge: []byte("c"), Origin: "http://xn--bcher-kva.localhost:" + portOf(r)})
		default:
			reply(w, 200, api.SessionResponse{Session: "s"})
		}
	}))
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bücher.localhost", "xn--bcher-kva.localhost"} {
		at := "http://" + name + ":" + u.Port()
		c, err := New(Config{URL: at})
		if err != nil {
			t.Fatal(err)
		}
		c.ways.routes[0].http.Transport = &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, u.Host)
		}}
		if _, err := c.Authenticate(t.Context(), key); err != nil {
			t.Errorf("%s: %v", at, err)
		}
		c.Close()
	}
}

func portOf(r *http.Request) string {
	_, port, _ := net.SplitHostPort(r.Host)
	return port
}
