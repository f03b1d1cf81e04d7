package front

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is an HTTPS server that responds with what it saw of a request.
func site(t *testing.T, h2 bool) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", r.Proto, r.Host, r.TLS.ServerName, body)
	}))
	s.EnableHTTP2 = h2
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// trusting returns a configuration that trusts the site and connects to it for any
// name.
func trusting(s *httptest.Server) Config {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate()) // for example.com
	direct, _ := Proxy(NoProxy)
	address := s.Listener.Addr().String()
	return Config{Roots: pool, Proxy: direct, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
}

func transport(t *testing.T, c Config) *Transport {
	t.Helper()
	tr, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func ask(t *testing.T, rt http.RoundTripper, to, body string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

// TestEveryName: each imitation completes a handshake and carries requests, to a
// server with h2 and to one without.
func TestEveryName(t *testing.T) {
	old, fresh := site(t, false), site(t, true)
	for _, name := range append(Names(), "") {
		t.Run(name, func(t *testing.T) {
			for _, s := range []*httptest.Server{old, fresh} {
				c := trusting(s)
				c.Imitate, c.Front = name, "example.com"
				tr := transport(t, c)
				for i := range 2 {
					got := ask(t, tr, "https://broker.example.org/x", "hello")
					want := " broker.example.org example.com hello"
					if !strings.HasSuffix(got, want) || !strings.HasPrefix(got, "HTTP/") {
						t.Errorf("request %d: %q, want …%q", i, got, want)
					}
					h2 := strings.HasPrefix(got, "HTTP/2.0")
					offers := !strings.HasPrefix(name, "hello360_") && name != "hellorandomizednoalpn" && name != "helloandroid_11_okhttp"
					if h2 != (s == fresh && offers) {
						t.Errorf("request %d: %q, h2 offered: %v", i, got, s == fresh)
					}
				}
			}
		})
	}
}

// TestConcurrentRequests: requests share the protocol that the first one found.
func TestConcurrentRequests(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		s := site(t, h2)
		c := trusting(s)
		c.Imitate = "hellofirefox_auto"
		tr := transport(t, c)
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				if got := ask(t, tr, "https://example.com/", fmt.Sprint(i)); !strings.HasSuffix(got, fmt.Sprintf(" example.com example.com %d", i)) {
					t.Errorf("%q", got)
				}
			})
		}
		group.Wait()
	}
}

// TestServerChangesItsMind: a network may support h2 on one of its machines and not
// on the next.
func TestServerChangesItsMind(t *testing.T) {
	first, second := site(t, false), site(t, true)
	var mu sync.Mutex
	at := first
	c := trusting(first)
	c.Roots.AddCert(second.Certificate())
	c.Imitate = "hellochrome_auto"
	c.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		return new(net.Dialer).DialContext(ctx, network, at.Listener.Addr().String())
	}
	tr := transport(t, c)
	for _, s := range []*httptest.Server{first, second, first, second} {
		mu.Lock()
		at = s
		mu.Unlock()
		first.CloseClientConnections()
		second.CloseClientConnections()
		tr.CloseIdleConnections()
		got := ask(t, tr, "https://example.com/", "x")
		if h2 := strings.HasPrefix(got, "HTTP/2.0"); h2 != (s == second) {
			t.Errorf("%q", got)
		}
	}
}

func TestCertificatesAreChecked(t *testing.T) {
	s := site(t, true)
	for _, name := range []string{"", "hellofirefox_auto", "helloios_auto"} {
		for what, change := range map[string]func(*Config){
			"another name":   func(c *Config) { c.Front = "other.example" },
			"an unknown one": func(c *Config) { c.Roots = x509.NewCertPool(); c.Front = "example.com" },
		} {
			c := trusting(s)
			c.Imitate = name
			change(&c)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://example.com/", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := transport(t, c).RoundTrip(req)
			if err == nil {
				resp.Body.Close()
				t.Errorf("%s, %q: accepted", what, name)
			}
		}
	}
}

// TestSilenceEnds: servers accept a connection and then send nothing, at any stage.
func TestSilenceEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() { _, _ = io.Copy(io.Discard, conn); conn.Close() })
		}
	})
	t.Cleanup(func() { l.Close(); group.Wait() })
	direct, _ := Proxy(NoProxy)
	for name, c := range map[string]Config{
		"plain":         {Proxy: direct},
		"imitated":      {Proxy: direct, Imitate: "hellochrome_auto"},
		"CONNECT":       {Proxy: through(t, "http://"+l.Addr().String()), Imitate: "hellochrome_auto"},
		"CONNECT, TLS":  {Proxy: through(t, "https://"+l.Addr().String()), Imitate: "hellochrome_auto"},
		"CONNECT, Go":   {Proxy: through(t, "http://"+l.Addr().String())},
		"SOCKS5":        {Proxy: through(t, "socks5://"+l.Addr().String()), Imitate: "hellochrome_auto"},
		"SOCKS5, Go":    {Proxy: through(t, "socks5://"+l.Addr().String())},
		"no name at it": {Proxy: direct, Front: l.Addr().String()},
	} {
		tr := transport(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+l.Addr().String()+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if resp, err := tr.RoundTrip(req); err == nil {
			resp.Body.Close()
			t.Errorf("%s: it answered", name)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("%s: it took %v to notice the end of the context", name, took)
		}
		cancel()
	}
	// Without a deadline of the caller, the transport's own applies.
	for _, imitate := range []string{"", "hellofirefox_auto"} {
		tr := transport(t, Config{Proxy: direct, Imitate: imitate, ConnectTimeout: 50 * time.Millisecond})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+l.Addr().String()+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := tr.RoundTrip(req); err == nil {
			resp.Body.Close()
			t.Error("it answered")
		}
	}
}

func through(t *testing.T, proxy string) ProxyFunc {
	t.Helper()
	f, err := Proxy(proxy)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestPlainHTTPNeedsNoFront(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host) }))
	defer s.Close()
	direct, _ := Proxy(NoProxy)
	if got := ask(t, transport(t, Config{Proxy: direct, Imitate: "hellochrome_auto"}), s.URL, ""); "http://"+got != s.URL {
		t.Errorf("%q", got)
	}
	req, err := http.NewRequest(http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := transport(t, Config{Proxy: direct, Front: "example.com"}).RoundTrip(req); !errors.Is(err, errPlain) {
		if err == nil {
			resp.Body.Close()
		}
		t.Errorf("in clear behind a front: %v", err)
	}
}

func TestNamesOfFrontsAndProxies(t *testing.T) {
	for front, want := range map[string]string{
		"cdn.example": "cdn.example:443", "cdn.example:8443": "cdn.example:8443", "[::1]:1": "[::1]:1",
		"": "", "https://cdn.example": "", "cdn.example/": "", "a b": "", "user@cdn.example": "", ":443": "", "cdn.example?x": "",
	} {
		got, err := Address(front)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("front %q: %q, %v", front, got, err)
		}
	}
	for _, proxy := range []string{"cdn.example", "ftp://x", "http://", "socks5://x/path", "socks4://x", "http://x?y", "http://[::1"} {
		if _, err := Proxy(proxy); err == nil {
			t.Errorf("proxy %q is accepted", proxy)
		}
	}
	if _, err := New(Config{Imitate: "hellonobody"}); err == nil || !strings.Contains(err.Error(), "hellofirefox_auto") {
		t.Errorf("an unknown imitation: %v", err)
	}
	t.Setenv("HTTPS_PROXY", "socks5://proxy.example:1")
	t.Setenv("NO_PROXY", "near.example")
	f := through(t, "")
	for host, want := range map[string]string{"far.example": "socks5://proxy.example:1", "near.example": ""} {
		u, err := f(&url.URL{Scheme: "https", Host: host})
		if err != nil || (u == nil) != (want == "") || u != nil && u.String() != want {
			t.Errorf("%s: %v, %v", host, u, err)
		}
	}
	if u, err := through(t, NoProxy)(&url.URL{Scheme: "https", Host: "far.example"}); u != nil || err != nil {
		t.Errorf("none is %v, %v", u, err)
	}
}
