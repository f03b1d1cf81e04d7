package server

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/common/amp"
	"github.com/farforge/farforge/common/api"
)

// uncached requests a page as a cache does.
type uncached struct{ http.RoundTripper }

func (u uncached) RoundTrip(r *http.Request) (*http.Response, error) {
	host, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v/"), "/")
	out := r.Clone(r.Context())
	out.URL, out.Host = &url.URL{Scheme: "http", Host: host, Path: "/" + path}, host
	return u.RoundTripper.RoundTrip(out)
}

// throughAMP returns the same broker, reached through its AMP pages.
func (b *broker) throughAMP() *broker {
	w := *b.world
	w.http = &http.Client{Timeout: b.http.Timeout, Transport: &amp.Transport{
		Cache: &url.URL{Scheme: "http", Host: "cdn.example"}, Base: uncached{b.http.Transport},
	}}
	far := *b
	far.world = &w
	return &far
}

func TestOneJobThroughAMP(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	near := w.start()
	near.login(a)
	far := near.throughAMP()

	// A wait that ends without an agent has a fresh grant, and says when to
	// retry.
	<-near.goPost(t.Context(), api.PathAgentPoll+"?wait=0", a.session, idleStatus())
	g := far.grant()
	r := <-far.offer(t.Context(), g, "?wait=0")
	waiting := as[api.Waiting](t, r, 202)
	if waiting.Grant == "" || r.header.Get("Retry-After") != "1" {
		t.Errorf("%+v, %v", waiting, r.header)
	}
	g.Grant = waiting.Grant
	poll := near.park(t.Context(), a)
	offer := far.offer(t.Context(), g, "?wait=2")
	job := as[api.Job](t, <-poll, 200)
	as[struct{}](t, near.answer(a, job.JobID), 204)
	wantAnswer(t, offer, a)
}

// TestAMPIsTheSameAPI: refusals and public documents are those of the API
// itself, with their statuses.
func TestAMPIsTheSameAPI(t *testing.T) {
	w := newWorld(t)
	near := w.start()
	far := near.throughAMP()
	for name, send := range map[string]func(*broker) reply{
		"health":        func(b *broker) reply { return b.send(t.Context(), "GET", api.PathHealth, "", nil) },
		"keys":          func(b *broker) reply { return b.send(t.Context(), "GET", api.PathJWKS, "", nil) },
		"agents":        func(b *broker) reply { return b.send(t.Context(), "GET", api.PathAgents, "", nil) },
		"no agent":      func(b *broker) reply { return b.post(api.PathGrantRequest, "", grantRequest()) },
		"malformed":     func(b *broker) reply { return b.post(api.PathGrantRequest, "", "x") },
		"opaque JSON":   func(b *broker) reply { return b.post(api.PathGrantRequest, "", []byte("{}")) },
		"no token":      func(b *broker) reply { return b.post(pathOf(api.PathOffer, someJob), "", []byte("x")) },
		"bad token":     func(b *broker) reply { return b.post(pathOf(api.PathOffer, someJob), "x.y.z", []byte("x")) },
		"empty offer":   func(b *broker) reply { return b.post(pathOf(api.PathOffer, someJob), "x.y.z", []byte{}) },
		"wrong method":  func(b *broker) reply { return b.send(t.Context(), "GET", api.PathGrantRequest, "", nil) },
		"answer unsaid": func(b *broker) reply { return b.post(pathOf(api.PathAnswer, someJob), "", []byte("x")) },
	} {
		one, two := send(near), send(far)
		if name == "wrong method" { // there is no Allow, and the paths are fewer
			if two.status != http.StatusMethodNotAllowed && two.status != http.StatusNotFound {
				t.Errorf("%s: %d", name, two.status)
			}
			continue
		}
		if one.err != nil || two.err != nil || one.status != two.status || string(one.body) != string(two.body) {
			t.Errorf("%s: %d %s %v\nthrough AMP: %d %s %v", name, one.status, one.body, one.err, two.status, two.body, two.err)
		}
		for _, header := range []string{"Content-Type", "Retry-After"} {
			if one.header.Get(header) != two.header.Get(header) {
				t.Errorf("%s: %s is %q, through AMP %q", name, header, one.header.Get(header), two.header.Get(header))
			}
		}
		if two.header.Get("Date") == "" {
			t.Errorf("%s: no date", name)
		}
	}
}

func TestPathsOutsideOfAMP(t *testing.T) {
	far := newWorld(t).start().throughAMP()
	for _, path := range []string{api.PathAgentPoll, api.PathAgentHello, api.PathAgentReport, api.PathServiceAgent, amp.Prefix + "0x/y", "/nowhere"} {
		wantProblem(t, far.post(path, "x", struct{}{}), 404, api.CodeNotFound)
	}
	if r := far.send(t.Context(), "GET", api.PathMetrics, "", nil); r.status != 404 {
		t.Errorf("metrics through AMP: %d", r.status)
	}
}

// TestAMPPages: the pages that a cache gets, over plain HTTP.
func TestAMPPages(t *testing.T) {
	b := newWorld(t).start()
	path, err := amp.EncodePath(&amp.Request{Method: "POST", Target: api.PathGrantRequest, Body: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	get := func(method, path string) reply {
		req, err := http.NewRequest(method, b.url+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		// None of these may reach the inner request.
		for _, name := range []string{"Authorization", "Cookie", "X-Forwarded-For", "Content-Type"} {
			req.Header.Set(name, "text/html")
		}
		return b.do(req)
	}
	r := get("GET", path+"?amp_js_v=0.1")
	if r.status != 200 || r.header.Get("Content-Type") != amp.TypePage || r.header.Get("Cache-Control") != "public, max-age=15" {
		t.Fatalf("%d %v", r.status, r.header)
	}
	in, err := amp.DecodePage(r.body)
	if err != nil || in.Status != 400 || in.ContentType != api.TypeProblem {
		t.Errorf("a malformed request without a type gets %d %s, %v", in.Status, in.ContentType, err)
	}
	for _, method := range []string{"HEAD", "POST", "PUT"} {
		if r := get(method, path); r.status != 405 {
			t.Errorf("%s: %d", method, r.status)
		}
	}
	wantProblem(t, get("GET", amp.Prefix+"0garbage/x"), 400, api.CodeMalformed)
	wantProblem(t, get("GET", amp.Prefix), 400, api.CodeMalformed)
	// The path is longer than the server reads, but the server answers.
	if r := get("GET", amp.Prefix+strings.Repeat("A", amp.MaxPath)); r.status != 400 {
		t.Errorf("a long path: %d", r.status)
	}
}

// TestAMPCountsAgainstLimits: a cache is an address like any other.
func TestAMPCountsAgainstLimits(t *testing.T) {
	w := newWorld(t)
	w.adjust = func(c *Config) { c.Addresses = quota.NewAddresses(0.01, 1, 16) }
	far := w.start().throughAMP()
	_ = far.post(api.PathGrantRequest, "", grantRequest())
	wantProblem(t, far.post(api.PathGrantRequest, "", grantRequest()), 429, api.CodeTooFast)
}

// TestAMPOutlastsTheReadTimeout: a request that is held through a page extends the
// connection's own deadline.
func TestAMPOutlastsTheReadTimeout(t *testing.T) {
	got := &innerResponse{outer: &deadlines{}, header: http.Header{}}
	hold(&response{ResponseWriter: got}, time.Minute)
	if left := time.Until(got.outer.(*deadlines).read); left < 50*time.Second {
		t.Errorf("the connection may be silent for %v", left)
	}
}

type deadlines struct {
	http.ResponseWriter
	read time.Time
}

func (d *deadlines) SetReadDeadline(at time.Time) error { d.read = at; return nil }

func TestAMPClientGoesAway(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	near := w.start()
	near.login(a)
	<-near.goPost(t.Context(), api.PathAgentPoll+"?wait=0", a.session, idleStatus())
	g := near.grant()
	path, err := amp.EncodePath(&amp.Request{Method: "POST", Target: pathOf(api.PathOffer, g.JobID), Authorization: "Bearer " + g.Grant, Body: []byte("offer")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", near.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if resp, err := near.http.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}()
	near.until("the offer waits", func() bool { return near.srv.board.Stats().Offering == 1 })
	cancel()
	<-gone
	near.until("no offer waits", func() bool { return near.srv.board.Stats().Offering == 0 })
}
