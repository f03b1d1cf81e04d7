package server

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
)

// from returns the broker, reached from another loopback address.
func (b *broker) from(addr string) *broker {
	b.t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}, Timeout: 10 * time.Second}
	transport := &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 64}
	b.t.Cleanup(transport.CloseIdleConnections)
	w := *b.world
	w.http = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	other := *b
	other.world = &w
	return &other
}

// TestFlood sends requests of all kinds from one address, several at once. Most are
// refused before the broker does any work, and another network is not affected.
func TestFlood(t *testing.T) {
	c := newClub(t)
	key := c.key(users.Add{Name: "alice"})
	addresses := quota.NewAddresses(1, 20, 1<<10)
	adjust := c.adjust
	c.adjust = func(cfg *Config) { adjust(cfg); cfg.Addresses = addresses }
	b := c.open() // from 127.0.0.1, with a few requests
	flooding, neighbour, other := b.from("127.66.0.1"), b.from("127.66.0.200"), b.from("127.66.1.1")

	nonce := make([]byte, api.NonceSize)
	rand.Read(nonce)
	hello := &api.HelloRequest{PublicKey: c.agent.key.PublicLine(""), Nonce: nonce}
	requests := []struct {
		path, token string
		body        any
	}{
		{api.PathAgentHello, "", hello}, {api.PathUserHello, "", hello},
		{api.PathAgentSession, "", &api.SessionRequest{}}, {api.PathUserSession, "", &api.SessionRequest{}},
		{api.PathGrantRequest, "", grantRequest()}, {api.PathGrantRequest, users.NewAccessKey().Reveal(), grantRequest()},
		{api.PathGrantRequest, "a.b.c", grantRequest()}, {api.PathGrantRequest, strings.Repeat("x", 4096), grantRequest()},
	}
	var mu sync.Mutex
	refused, served := 0, 0
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 50 {
				rq := requests[(w+i)%len(requests)]
				r := flooding.post(rq.path, rq.token, rq.body)
				mu.Lock()
				if r.status == 429 {
					refused++
				} else {
					served++
				}
				mu.Unlock()
				if r.status == 429 {
					if p := wantProblem(t, r, 429, api.CodeTooFast); !strings.Contains(p.Detail, "your network") || p.RetryAfter < 1 {
						t.Errorf("%+v", p)
					}
				}
			}
		})
	}
	// Meanwhile the user in the other network gets grants.
	for range 10 {
		if got := other.subject(key); got != "key:alice" {
			t.Errorf("the grant is for %s", got)
		}
	}
	wg.Wait()
	if refused < 350 || served < 20 {
		t.Errorf("%d were refused and %d served, of 400 with 20 at once allowed", refused, served)
	}
	// A valid key does not help in the network of the flood, nor does a header with
	// another address.
	wantProblem(t, neighbour.post(api.PathGrantRequest, key, grantRequest()), 429, api.CodeTooFast)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+api.PathGrantRequest, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	for _, header := range []string{"X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP"} {
		req.Header.Set(header, "198.51.100.7")
	}
	wantProblem(t, flooding.do(req), 429, api.CodeTooFast)

	// Requests with a session are not limited: an agent in the same network polls.
	as[struct{}](t, flooding.post(api.PathAgentPoll+"?wait=0", c.agent.session, idleStatus()), 204)
	as[api.Health](t, flooding.send(t.Context(), http.MethodGet, api.PathHealth, "", nil), 200)
	for range 20 {
		if _, ok := addresses.Allow(netip.MustParseAddr("198.51.100.7"), before); !ok {
			t.Fatal("the network of the address in a header was charged")
		}
	}
}

// TestARefusedNetworkRetries: the time to retry in a refusal is long enough.
func TestARefusedNetworkRetries(t *testing.T) {
	c := newClub(t)
	c.reg.Open = true
	addresses := quota.NewAddresses(2, 3, 16) // hello, session, one grant
	adjust := c.adjust
	c.adjust = func(cfg *Config) { adjust(cfg); cfg.Addresses = addresses }
	b := c.open()
	var refused reply
	for refused.status != 429 {
		if refused = b.post(api.PathGrantRequest, "", grantRequest()); t.Context().Err() != nil {
			t.Fatal("no request was refused")
		}
	}
	p := wantProblem(t, refused, 429, api.CodeTooFast)
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(p.RetryAfter)*time.Second)
	defer cancel()
	<-ctx.Done()
	b.granted("")
}
