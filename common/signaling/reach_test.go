package signaling

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/front/fronttest"
	"github.com/farforge/farforge/common/grant"
)

// hidden is the broker's name, which must not be visible on the network.
const hidden = "broker.hidden.localhost"

// nowhere is a name without an address. Go's resolver sends no request for it,
// since DNS has no such names (RFC 7686).
const nowhere = "broker.onion"

// far is a broker that answers only under the name hidden.
type far struct {
	ca    *fronttest.CA
	url   string // https://hidden
	plain *httptest.Server
	tls   *httptest.Server
	hosts chan string // of the requests
}

// farBroker starts a broker that issues grants and answers offers, directly and
// through an AMP cache.
func farBroker(t *testing.T) *far {
	t.Helper()
	f := &far{ca: fronttest.NewCA(t), url: "https://" + hidden, hosts: make(chan string, 1000)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+api.PathGrantRequest, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			reply(w, 401, api.Problem{Title: "Unauthorized", Status: 401, Code: api.CodeUnauthorized, Detail: "no token"})
			return
		}
		var need api.GrantRequest
		if err := json.NewDecoder(r.Body).Decode(&need); err != nil {
			t.Error(err)
		}
		if need.Target == "esp32s3" {
			w.Header().Set("Retry-After", "7")
			reply(w, 503, api.Problem{Title: "Service Unavailable", Status: 503, Code: api.CodeNoTarget, Detail: "none builds for that", Hints: []string{"x"}})
			return
		}
		reply(w, 200, api.GrantResponse{JobID: "J1", Grant: "first"})
	})
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwks, err := json.Marshal(grant.NewKeySet(public))
	if err != nil {
		t.Fatal(err)
	}
	var offers atomic.Int32
	mux.HandleFunc("POST "+api.PathOffer, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Query().Get(api.WaitParam) == "" || r.Header.Get("Content-Type") != api.TypeOpaque {
			t.Errorf("%s of type %s", r.URL, r.Header.Get("Content-Type"))
		}
		if offers.Add(1)%2 == 1 {
			w.Header().Set("Retry-After", "0")
			reply(w, 202, api.Waiting{JobID: "J1", Grant: "second", Position: 3})
			return
		}
		if got := r.Header.Get("Authorization"); got != "Bearer second" {
			t.Errorf("the fresh grant was not used: %q", got)
		}
		w.Header().Set("Content-Type", api.TypeOpaque)
		_, _ = w.Write(append([]byte("answer to "), body...))
	})
	mux.HandleFunc("POST "+api.PathConfirmation, func(w http.ResponseWriter, r *http.Request) {
		var word api.Confirmation
		err := json.NewDecoder(r.Body).Decode(&word)
		if err != nil || word.Outcome != api.OutcomeLost || r.Header.Get("Authorization") != "Bearer second" {
			t.Errorf("a confirmation of %+v, %v", word, err)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET "+api.PathHealth, func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, api.Health{Status: "ok", Version: "test"}) })
	mux.HandleFunc("GET "+api.PathJWKS, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(jwks)
	})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.hosts <- r.Host
		fronttest.Publish(mux).ServeHTTP(w, r)
	})
	f.plain = httptest.NewServer(handler)
	f.tls = httptest.NewUnstartedServer(handler)
	f.tls.TLS = f.ca.TLS(hidden, nowhere, "localhost", "127.0.0.1")
	f.tls.EnableHTTP2 = true
	f.tls.StartTLS()
	t.Cleanup(f.plain.Close)
	t.Cleanup(f.tls.Close)
	return f
}

// nginx fronts for the broker under the name localhost.
func (f *far) nginx(t *testing.T, h2 bool) *fronttest.Nginx {
	t.Helper()
	return fronttest.StartNginx(t, f.ca, h2, []string{"localhost"}, map[string]string{hidden: f.plain.URL})
}

// client returns a client that knows its token. It calls chosen with the ways that work.
func (f *far) client(t *testing.T, r Reach, chosen func(Way)) *Client {
	t.Helper()
	if r.Proxy == "" {
		r.Proxy = "none"
	}
	r.CAFile = f.ca.File()
	ways, err := NewWays(f.url, r, chosen, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{URL: f.url, Ways: ways, Token: func(context.Context) (string, error) { return "secret", nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// job does all that a client does with a broker, errors too.
func job(t *testing.T, c *Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	places := 0
	got, err := c.Introduce(ctx, &api.GrantRequest{}, func(context.Context, *api.GrantResponse) ([]byte, error) { return []byte("offer\x00\xff"), nil },
		func(w api.Waiting) { places += w.Position })
	if err != nil || string(got.Answer) != "answer to offer\x00\xff" || places != 3 {
		t.Fatalf("%+v, place %d, %v", got, places, err)
	}
	if err := c.Confirm(ctx, got.Grant.JobID, got.Grant.Grant, &api.Confirmation{Outcome: api.OutcomeLost}); err != nil {
		t.Fatal(err)
	}
	_, err = c.AskGrant(ctx, &api.GrantRequest{Target: "esp32s3"})
	if p, ok := err.(*api.Problem); !ok || p.Status != 503 || p.Code != api.CodeNoTarget || p.RetryAfter != 7 || len(p.Hints) != 1 {
		t.Fatalf("a refusal arrives as %#v", err)
	}
}

// port is the port of an address, behind localhost.
func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return "localhost:" + p
}

// TestFrontHidesTheBroker looks at every byte between a client and nginx.
func TestFrontHidesTheBroker(t *testing.T) {
	f := farBroker(t)
	// Without a front, the same search finds the name.
	open := fronttest.StartTap(t, f.tls.Listener.Addr().String())
	plain := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: f.ca.Pool(), MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, open.Addr)
		},
	}}
	resp, err := plain.Get(f.url + api.PathHealth)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	plain.CloseIdleConnections()
	if !bytes.Contains(open.All(), []byte(hidden)) || serverName(t, open.Sent()[0]) != hidden {
		t.Fatal("the broker's name is not in a plain handshake; this test would see nothing")
	}
	<-f.hosts

	hellos := map[string]string{}
	for _, h2 := range []bool{false, true} {
		nginx := f.nginx(t, h2)
		for _, name := range []string{"", "hellochrome_auto", "hellofirefox_auto", "hellosafari_auto", "helloios_auto", "helloedge_auto", "hellorandomizedalpn"} {
			tap := fronttest.StartTap(t, nginx.Addr)
			job(t, f.client(t, Reach{Fronts: []string{port(tap.Addr)}, Imitate: name}, nil))
			seen := tap.All()
			if bytes.Contains(seen, []byte("hidden")) || bytes.Contains(seen, []byte("/grant")) || bytes.Contains(seen, []byte("secret")) {
				t.Errorf("%q, h2 %v: the broker's name, a path or the token is in clear", name, h2)
			}
			for _, sent := range tap.Sent() {
				if got := serverName(t, sent); got != "localhost" {
					t.Errorf("%q: the handshake names %q", name, got)
				}
				hellos[name] = ciphers(t, sent)
			}
			for len(f.hosts) > 0 {
				if got := <-f.hosts; got != hidden {
					t.Errorf("%q: the broker was asked as %q", name, got)
				}
			}
			asked := nginx.Asked(t)
			want := "HTTP/1.1 localhost " + hidden + " POST"
			if h2 {
				want = "HTTP/2.0 localhost " + hidden + " POST"
			}
			if got := asked[len(asked)-1]; got != want {
				t.Errorf("%q: nginx saw %q, want %q", name, got, want)
			}
		}
	}
	for _, name := range []string{"hellochrome_auto", "hellofirefox_auto"} {
		if hellos[name] == hellos[""] {
			t.Errorf("%s offers the same ciphers as Go", name)
		}
	}
}

// serverName reads the server name of a ClientHello, as an observer does. It is
// written out here so that nothing of TLS libraries hides anything.
func serverName(t *testing.T, sent []byte) string {
	t.Helper()
	_, extensions := hello(t, sent)
	for len(extensions) >= 4 {
		kind, n := int(extensions[0])<<8|int(extensions[1]), int(extensions[2])<<8|int(extensions[3])
		if kind == 0 {
			return string(extensions[4+5 : 4+n])
		}
		extensions = extensions[4+n:]
	}
	return ""
}

func ciphers(t *testing.T, sent []byte) string {
	c, _ := hello(t, sent)
	return string(c)
}

// hello returns the cipher suites and extensions of a ClientHello (RFC 8446,
// section 4.1.2) in one or several records.
func hello(t *testing.T, sent []byte) (ciphers, extensions []byte) {
	t.Helper()
	var message []byte
	for len(sent) >= 5 && sent[0] == 22 && (len(message) < 4 || len(message) < 4+int(message[1])<<16+int(message[2])<<8+int(message[3])) {
		n := int(sent[3])<<8 | int(sent[4])
		message = append(message, sent[5:5+n]...)
		sent = sent[5+n:]
	}
	if len(message) < 40 || message[0] != 1 {
		t.Fatal("this is not a ClientHello")
	}
	rest := message[4+2+32:]
	rest = rest[1+int(rest[0]):] // session id
	n := int(rest[0])<<8 | int(rest[1])
	ciphers, rest = rest[2:2+n], rest[2+n:]
	rest = rest[1+int(rest[0]):] // compression
	return ciphers, rest[2:]
}

func TestProxies(t *testing.T) {
	f := farBroker(t)
	nginx := f.nginx(t, true)
	at := port(nginx.Addr)
	for name, proxy := range map[string]func() (string, *fronttest.Proxy){
		"CONNECT": func() (string, *fronttest.Proxy) {
			p := fronttest.StartConnect(t, nil, nginx.Addr)
			return "http://" + p.Addr, p
		},
		"CONNECT over TLS": func() (string, *fronttest.Proxy) {
			p := fronttest.StartConnect(t, f.ca.TLS("127.0.0.1"), nginx.Addr)
			return "https://" + p.Addr, p
		},
		"SOCKS5": func() (string, *fronttest.Proxy) {
			p := fronttest.StartSOCKS5(t, nginx.Addr)
			return "socks5://" + p.Addr, p
		},
		"SOCKS5h": func() (string, *fronttest.Proxy) {
			p := fronttest.StartSOCKS5(t, nginx.Addr)
			return "socks5h://" + p.Addr, p
		},
	} {
		for _, imitate := range []string{"", "hellofirefox_auto"} {
			t.Run(name+" "+imitate, func(t *testing.T) {
				to, p := proxy()
				job(t, f.client(t, Reach{Fronts: []string{at}, Proxy: to, Imitate: imitate}, nil))
				if asked, _ := p.Asked(); asked != at {
					t.Errorf("the proxy connected to %q, want %s", asked, at)
				}
				// A password is read from the environment only, where localhost
				// never uses a proxy.
				u, err := url.Parse(to)
				if err != nil {
					t.Fatal(err)
				}
				u.User = url.UserPassword("me", "word")
				t.Setenv("HTTPS_PROXY", u.String())
				t.Setenv("NO_PROXY", "")
				c := f.client(t, Reach{Fronts: []string{"front.example:1"}, Proxy: "none", Imitate: imitate}, nil)
				c.ways.routes[0].http.Transport = environment(t, f, imitate)
				if _, err := c.AskGrant(t.Context(), &api.GrantRequest{}); err == nil {
					t.Error("nginx has no certificate for front.example, and it was accepted")
				}
				asked, credentials := p.Asked()
				if asked != "front.example:1" || credentials != "me:word" && credentials != "Basic bWU6d29yZA==" {
					t.Errorf("the proxy connected to %q with %q", asked, credentials)
				}
			})
		}
	}
	// The error of a proxy that refuses has its reason.
	refusing := fronttest.StartConnect(t, nil, "")
	for _, imitate := range []string{"", "hellochrome_auto"} {
		c := f.client(t, Reach{Fronts: []string{at}, Proxy: "http://" + refusing.Addr, Imitate: imitate}, nil)
		if _, err := c.AskGrant(t.Context(), &api.GrantRequest{}); err == nil || !strings.Contains(err.Error(), "Forbidden") {
			t.Errorf("%q: %v", imitate, err)
		}
	}
}

// environment returns the transport of a client without a configured proxy.
func environment(t *testing.T, f *far, imitate string) http.RoundTripper {
	t.Helper()
	ways, err := NewWays(f.url, Reach{Fronts: []string{"front.example:1"}, Imitate: imitate, CAFile: f.ca.File()}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ways.Close)
	return ways.routes[0].http.Transport
}

func TestJobThroughAMPCache(t *testing.T) {
	f := farBroker(t)
	cache := fronttest.StartAMPCache(t, f.ca, "localhost", f.tls.Listener.Addr().String())
	u, err := url.Parse(cache.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, imitate := range []string{"", "hellochrome_auto"} {
		// The tap is a front of the cache, with a name of its own.
		tap := fronttest.StartTap(t, "127.0.0.1:"+u.Port())
		for _, r := range []Reach{
			{AMPCache: cache.URL},
			{AMPCache: cache.URL, AMPFronts: []string{port(tap.Addr)}},
		} {
			r.Imitate = imitate
			before := cache.Served()
			c := f.client(t, r, nil)
			job(t, c)
			if way, _ := c.Way(); way.Leg != LegAMP || !strings.HasPrefix(way.Via, u.Host) {
				t.Errorf("the way is %v", way)
			}
			if got := cache.Served() - before; got != 5 {
				t.Errorf("the cache served %d pages for a grant, two offers, a confirmation and a refusal", got)
			}
		}
		if bytes.Contains(tap.All(), []byte("hidden")) {
			t.Error("the broker's name is in clear")
		}
		for _, sent := range tap.Sent() {
			if got := serverName(t, sent); got != "localhost" {
				t.Errorf("the handshake names %q", got)
			}
		}
	}
	for _, why := range cache.Refused() {
		t.Errorf("the cache refused: %s", why)
	}
	// A request that does not fit fails at once.
	c := f.client(t, Reach{AMPCache: cache.URL}, nil)
	began := time.Now()
	noise := make([]byte, 8000)
	for i := range noise {
		noise[i] = byte(i * i >> 3)
	}
	_, err = c.Offer(t.Context(), &api.GrantResponse{JobID: "J1", Grant: strings.Repeat("g", 8000)}, slices.Concat(noise, []byte(time.Now().String())), nil)
	if Retryable(err) || time.Since(began) > time.Second {
		t.Errorf("an offer that is too long: %v, after %v", err, time.Since(began))
	}
}

func TestFallback(t *testing.T) {
	f := farBroker(t)
	filter := fronttest.StartFilter(t)
	nginx := f.nginx(t, true)
	cache := fronttest.StartAMPCache(t, f.ca, "localhost", f.tls.Listener.Addr().String())
	f.url = "https://" + port(filter) // the direct way is cut off
	behind := fronttest.StartNginx(t, f.ca, true, []string{"localhost"}, map[string]string{"localhost": f.plain.URL})
	file := filepath.Join(t.TempDir(), "new", "rendezvous.json")
	all := Reach{Legs: []string{LegDirect, LegFront, LegAMP}, Fronts: []string{port(filter), port(nginx.Addr), port(behind.Addr)}, AMPCache: cache.URL, File: file}

	var chosen []Way
	c := f.client(t, all, func(w Way) { chosen = append(chosen, w) })
	if _, ok := c.Way(); ok {
		t.Error("a way before the first request")
	}
	job(t, c)
	job(t, c)
	want := Way{LegFront, port(behind.Addr)} // the other one has no such host
	if len(chosen) != 1 || chosen[0] != want {
		t.Fatalf("chose %v, want once %v", chosen, want)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}

	// The next process starts with it, and does not try the others.
	c = f.client(t, all, nil)
	if got := c.ways.order(false)[0].Way; got != want {
		t.Errorf("the next process begins with %v", got)
	}
	// After lookBack it tries the earlier ways, but not with a request that the
	// broker may hold.
	c.ways.since = time.Now().Add(-2 * lookBack)
	if got := c.ways.order(true)[0].Way; got != want {
		t.Errorf("a poll begins with %v", got)
	}
	if got := c.ways.order(false)[0].Way.Leg; got != LegDirect {
		t.Errorf("after %v it begins with %v", 2*lookBack, got)
	}
	if _, err := c.AskGrant(t.Context(), &api.GrantRequest{}); err != nil {
		t.Fatal(err)
	}
	if got := c.ways.order(false)[0].Way; got != want {
		t.Errorf("after the earlier ways failed again it begins with %v", got)
	}

	// None works: the error has every reason.
	dead := all
	dead.Legs, dead.Fronts, dead.AMPCache = []string{LegDirect, LegFront}, []string{port(filter)}, ""
	_, err := f.client(t, dead, nil).AskGrant(t.Context(), &api.GrantRequest{})
	if err == nil || !strings.Contains(err.Error(), "directly: ") || !strings.Contains(err.Error(), "through the front localhost:") {
		t.Errorf("%v", err)
	}
}

func TestFallbackToAMP(t *testing.T) {
	f := farBroker(t)
	filter := fronttest.StartFilter(t)
	f.url = "https://" + port(filter)
	cache := fronttest.StartAMPCache(t, f.ca, "localhost", f.tls.Listener.Addr().String())
	var chosen []Way
	c := f.client(t, Reach{Legs: []string{LegDirect, LegFront, LegAMP}, Fronts: []string{port(filter)}, AMPCache: cache.URL}, func(w Way) { chosen = append(chosen, w) })
	job(t, c)
	if len(chosen) != 1 || chosen[0].Leg != LegAMP {
		t.Errorf("chose %v", chosen)
	}
}

// TestFrontWithLittlePatience: the client asks for shorter waits after a front has
// cut a request off that it held for three seconds.
func TestFrontWithLittlePatience(t *testing.T) {
	ca := fronttest.NewCA(t)
	var waits []string
	broker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wait := r.URL.Query().Get(api.WaitParam)
		if wait == "" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		waits = append(waits, wait)
		seconds, err := time.ParseDuration(wait + "s")
		if err != nil {
			t.Error(err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-time.After(seconds):
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(broker.Close)
	nginx := fronttest.StartNginx(t, ca, true, []string{"localhost"}, map[string]string{hidden: broker.URL}, "proxy_read_timeout 3s;")
	f := &far{ca: ca, url: "https://" + hidden}
	c := f.client(t, Reach{Fronts: []string{port(nginx.Addr)}}, nil)
	if err := c.Report(t.Context(), "s", &api.Report{}); err != nil { // connects
		t.Fatal(err)
	}
	if _, err := c.Poll(t.Context(), "s", &api.Status{}); !Retryable(err) {
		t.Fatalf("the front did not cut the poll off: %v", err)
	}
	if job, err := c.Poll(t.Context(), "s", &api.Status{}); job.Job != nil || err != nil {
		t.Fatalf("%v, %v", job, err)
	}
	if want := []string{"25", "2"}; !slices.Equal(waits, want) {
		t.Errorf("the waits were %v, want %v", waits, want)
	}
}

func TestMemoryIsNoBurden(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "rendezvous.json")
	m := &memory{path: path, log: discard()}
	for _, text := range []string{"", "x", "[]", `{"https://x":{"leg":3}}`, strings.Repeat(" ", maxMemory+1)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if way, ok := m.recall("https://x"); ok {
			t.Errorf("%.20q: %v", text, way)
		}
		m.keep("https://x", Way{LegFront, "a"})
		if way, ok := m.recall("https://x"); !ok || way != (Way{LegFront, "a"}) {
			t.Errorf("after %.20q: %v, %v", text, way, ok)
		}
	}
	m.keep("https://y", Way{LegDirect, ""})
	if way, ok := m.recall("https://x"); !ok || way.Via != "a" {
		t.Error("another broker's way is forgotten")
	}
	for age, want := range map[time.Duration]bool{time.Minute: true, 2 * memoryLife: false, -time.Hour: false} {
		if err := m.write(map[string]kept{"https://x": {Leg: LegAMP, At: time.Now().Add(-age)}}); err != nil {
			t.Fatal(err)
		}
		if _, ok := m.recall("https://x"); ok != want {
			t.Errorf("at the age of %v: %v", age, ok)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("it leaves %v, %v", files, err)
	}
	nowhere := &memory{path: filepath.Join(path, "below", "a", "file"), log: discard()}
	nowhere.keep("https://x", Way{LegDirect, ""})
	if _, ok := nowhere.recall("https://x"); ok {
		t.Error("it remembers without a file")
	}
}
