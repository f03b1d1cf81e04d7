package server

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// TestTheUserOfThePage sends the page's request with the page's access key, and
// logs in with the page's bodies.
func TestTheUserOfThePage(t *testing.T) {
	page, err := os.ReadFile(protocolPage)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```http UserRequest\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("the page shows no request of a user")
	}
	raw := strings.ReplaceAll(string(block[1]), "\n", "\r\n") + "\r\n"
	shown, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	key, err := users.ParseAccessKey(strings.TrimPrefix(shown.Header.Get("Authorization"), "Bearer "))
	if err != nil {
		t.Fatal(err)
	}
	ex := examples(t)

	c := newClub(t)
	c.adjust = func(cfg *Config) {
		cfg.Users, cfg.Accounts = c.reg, quota.NewAccounts(quota.Limits{Jobs: 1})
	}
	if err := users.AddUser(c.path("users"), users.Add{Name: "alice"}, key, time.Now()); err != nil {
		t.Fatal(err)
	}
	c.key(users.Add{Name: "bob"}) // opens the file
	bob := c.newAgent("bob")
	c.list(bob)
	b := c.open()
	request := func() reply {
		req, err := http.NewRequestWithContext(t.Context(), shown.Method, b.url+shown.URL.Path, strings.NewReader(ex["GrantRequest"]))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = shown.Header.Clone()
		return b.do(req)
	}
	g := as[api.GrantResponse](t, request(), 200)
	if v, err := b.srv.cfg.Keys.Verify(g.Grant, time.Now(), 0); err != nil || v.Subject != "key:alice" {
		t.Errorf("the page's request results in %+v, %v", v, err)
	}
	as[api.Waiting](t, <-b.offer(t.Context(), g, "?wait=0"), 202)
	var got, want api.Problem
	if err := json.Unmarshal([]byte(ex["QuotaProblem"]), &want); err != nil {
		t.Fatal(err)
	}
	r := request()
	wantProblem(t, r, want.Status, want.Code)
	// On a slow machine some seconds have passed.
	body := regexp.MustCompile(`in 5\ds at`).ReplaceAll(r.body, []byte("in 1m at"))
	if err := json.Unmarshal(body, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the broker sends %+v, the page shows %+v", got, want)
	}

	var session api.SessionRequest
	if err := json.Unmarshal([]byte(ex["SessionRequest"]), &session); err != nil {
		t.Fatal(err)
	}
	session.PublicKey = bob.key.PublicLine("bob")
	hello := b.post(api.PathUserHello, "", &api.HelloRequest{PublicKey: session.PublicKey, Nonce: session.Nonce})
	challenge := as[api.HelloResponse](t, hello, 200)
	session.Challenge = challenge.Challenge
	session.Signature = bob.signs(t)(&identity.Challenge{
		Role: identity.RoleUser, Origin: challenge.Origin, Challenge: challenge.Challenge, Nonce: session.Nonce, Fingerprint: bob.key.Fingerprint(),
	})
	opened := b.post(api.PathUserSession, "", &session)
	for name, r := range map[string]reply{"HelloResponse": hello, "SessionResponse": opened} {
		if got, want := shape(t, r.body), shape(t, []byte(ex[name])); r.status != 200 || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the broker sends %d %v, the page shows %v", name, r.status, got, want)
		}
	}
	token := as[api.SessionResponse](t, opened, 200).Session
	if got := b.subject(token); got != "ssh:"+bob.key.Fingerprint() || len(token) != 96 {
		t.Errorf("a session of %d characters for %s", len(token), got)
	}
}
