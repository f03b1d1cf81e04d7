package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/jobs"
	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

const adminToken = "ffadmin_0123456789012345678901234567890123"

// serveList lets the brokers of the world read their agents from a file with the
// text.
func (w *world) serveList(text string) string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "authorized_agents")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	list, err := directory.OpenFile(path, slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
	w.adjust = func(c *Config) {
		c.Directory, c.Services = list.Directory(), &Services{Token: adminToken, Agents: list}
	}
	return path
}

func onePath(fingerprint string) string {
	return api.PathServiceAgent + "/" + url.PathEscape(fingerprint)
}

func TestOperatorsEditTheListOverHTTP(t *testing.T) {
	w := newWorld(t)
	a, c := w.newAgent("bench-1"), w.newAgent("bench-2")
	path := w.serveList("# ours\n" + a.key.PublicLine(a.name) + "\n")
	b := w.start()
	b.login(a)
	poll := b.park(t.Context(), a)
	rule := func(method, path string, body any) reply { return b.send(t.Context(), method, path, adminToken, body) }

	listed := as[[]api.ListedAgent](t, rule("GET", api.PathServiceAgent, nil), 200)
	if len(listed) != 1 || listed[0].Name != "bench-1" || !listed[0].Alive || listed[0].PublicKey != a.key.PublicLine("") {
		t.Errorf("listed: %+v", listed)
	}
	r := rule("POST", api.PathServiceAgent, &api.AddAgent{Line: `targets="esp32c3" ` + c.key.PublicLine(c.name)})
	if added := as[api.ListedAgent](t, r, 201); added.Fingerprint != c.key.Fingerprint() || added.Alive || added.Targets[0] != "esp32c3" || r.header.Get("Location") != onePath(added.Fingerprint) {
		t.Errorf("added: %+v, %v", added, r.header)
	}
	b.login(c) // at once
	if one := as[api.ListedAgent](t, rule("GET", r.header.Get("Location"), nil), 200); one.Name != "bench-2" {
		t.Errorf("one: %+v", one)
	}
	as[struct{}](t, rule("DELETE", onePath(a.key.Fingerprint()), nil), 204)
	wantRevoked(t, <-poll)
	if data, err := os.ReadFile(path); err != nil || string(data) != "# ours\n"+`targets="esp32c3" `+c.key.PublicLine(c.name)+"\n" {
		t.Errorf("the file is now %s, %v", data, err)
	}

	for _, tt := range []struct {
		what, method, path string
		body               any
		status             int
		code               api.Code
		detail             string
	}{
		{"an agent that is gone", "DELETE", onePath(a.key.Fingerprint()), nil, 404, api.CodeNotFound, "no agent with this fingerprint"},
		{"an agent that never was", "GET", onePath("SHA256:a/b//c+d"), nil, 404, api.CodeNotFound, "no agent with this fingerprint"},
		{"an agent by its name", "DELETE", onePath("bench-2"), nil, 404, api.CodeNotFound, "no agent with this fingerprint"},
		{"no agent", "DELETE", onePath(""), nil, 404, api.CodeNotFound, "no agent with this fingerprint"},
		{"a key twice", "POST", api.PathServiceAgent, &api.AddAgent{Line: c.key.PublicLine("x")}, 409, api.CodeAlreadyListed, "bench-2"},
		{"a name twice", "POST", api.PathServiceAgent, &api.AddAgent{Line: a.key.PublicLine("bench-2")}, 409, api.CodeAlreadyListed, "bench-2"},
		{"no line", "POST", api.PathServiceAgent, &api.AddAgent{}, 400, api.CodeMalformed, "line: "},
		{"two lines", "POST", api.PathServiceAgent, &api.AddAgent{Line: a.key.PublicLine("x") + "\nrubbish"}, 400, api.CodeMalformed, "more than one line"},
		{"an unknown option", "POST", api.PathServiceAgent, &api.AddAgent{Line: "restrict " + a.key.PublicLine("x")}, 400, api.CodeMalformed, "restrict"},
		{"another method", "PUT", api.PathServiceAgent, nil, 405, api.CodeWrongMethod, "GET, POST, HEAD"},
		{"another method on one", "POST", onePath(c.key.Fingerprint()), nil, 405, api.CodeWrongMethod, "GET, DELETE, HEAD"},
		{"a page that is gone", "GET", api.PathServiceAgent + "?after=SHA256:x", nil, 410, api.CodeExpired, "not listed any more"},
	} {
		if p := wantProblem(t, rule(tt.method, tt.path, tt.body), tt.status, tt.code); !strings.Contains(p.Detail, tt.detail) {
			t.Errorf("%s: %+v", tt.what, p)
		}
	}
}

func TestServicesAreForOperatorsOnly(t *testing.T) {
	w := newWorld(t)
	a := w.newAgent("bench-1")
	w.serveList(a.key.PublicLine(a.name) + "\n")
	b := w.start()
	b.login(a)
	one := onePath(a.key.Fingerprint())
	for _, at := range [][2]string{{"GET", api.PathServiceAgent}, {"POST", api.PathServiceAgent}, {"GET", one}, {"DELETE", one}} {
		for token, code := range map[string]api.Code{
			"": api.CodeUnauthorized, adminToken[1:]: api.CodeBadToken, adminToken + "x": api.CodeBadToken, a.session: api.CodeBadToken,
		} {
			wantProblem(t, b.send(t.Context(), at[0], at[1], token, &api.AddAgent{}), 401, code)
		}
	}
	// Without an admin token the paths do not exist.
	w.adjust = func(*Config) {}
	b = w.start()
	for _, method := range []string{"GET", "POST", "DELETE"} {
		wantProblem(t, b.send(t.Context(), method, api.PathServiceAgent, adminToken, nil), 404, api.CodeNotFound)
		wantProblem(t, b.send(t.Context(), method, onePath("SHA256:x"), adminToken, nil), 404, api.CodeNotFound)
	}
	if _, err := New(Config{Config: jobs.Config{Origin: "x", Signer: b.srv.cfg.Signer, Secret: make([]byte, 32), Directory: b.srv.cfg.Directory}, Services: &Services{Token: "short"}}); err == nil || !strings.Contains(err.Error(), "shorter than 32") {
		t.Errorf("a short admin token: %v", err)
	}
}

// TestLongListsComeInPages: no response is longer than a body may be.
func TestLongListsComeInPages(t *testing.T) {
	const many = 500
	var text strings.Builder
	w := newWorld(t)
	for i := range many {
		text.WriteString(w.newAgent("x").key.PublicLine(fmt.Sprint("bench-", i, strings.Repeat("x", 60))) + "\n")
	}
	w.serveList(text.String())
	b := w.start()
	seen, pages, next := map[string]bool{}, 0, api.PathServiceAgent
	for next != "" {
		r := b.send(t.Context(), http.MethodGet, next, adminToken, nil)
		if len(r.body) > api.MaxBody {
			t.Errorf("a page of %d bytes", len(r.body))
		}
		for _, a := range as[[]api.ListedAgent](t, r, 200) {
			if seen[a.Fingerprint] {
				t.Errorf("%s is listed twice", a.Name)
			}
			seen[a.Fingerprint] = true
		}
		pages++
		next, _, _ = strings.Cut(strings.TrimPrefix(r.header.Get("Link"), "<"), `>; rel="next"`)
	}
	if len(seen) != many || pages < 2 {
		t.Errorf("%d agents on %d pages", len(seen), pages)
	}
	if _, err := identity.ParseAuthorized([]byte(text.String())); err != nil {
		t.Fatal(err)
	}
}

func TestOperatorsSeeWhatUsersUse(t *testing.T) {
	c := newClub(t)
	key := c.key(users.Add{Name: "alice", Limits: quota.Limits{Jobs: 2}})
	c.key(users.Add{Name: "bob"})
	c.reg.Open = true
	c.adjust = func(cfg *Config) {
		cfg.Users, cfg.Services = c.reg, &Services{Token: adminToken}
		cfg.Accounts = quota.NewAccounts(quota.Limits{Jobs: 8, Grants: 60, Sessions: 24 * time.Hour})
	}
	b := c.open()
	for _, token := range []string{key, ""} {
		g := as[api.GrantResponse](t, b.post(api.PathGrantRequest, token, grantRequest()), 200)
		as[api.Waiting](t, <-b.offer(t.Context(), g, "?wait=0"), 202)
	}
	r := b.send(t.Context(), "GET", api.PathServiceUsers, adminToken, nil)
	got := as[api.Usage](t, r, 200)
	defaults := api.UserLimits{Jobs: 8, Grants: 60, SessionSecs: 86400}
	want := api.Usage{Defaults: defaults, Users: []api.UserUsage{
		{User: "key:alice", Limits: api.UserLimits{Jobs: 2, Grants: 60, SessionSecs: 86400}, JobsNow: 1},
		{User: "key:bob", Limits: defaults},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := shape(t, r.body), shape(t, []byte(examples(t)["Usage"])); !reflect.DeepEqual(got, want) {
		t.Errorf("the broker sends %v, the page shows %v", got, want)
	}
	wantProblem(t, b.send(t.Context(), "GET", api.PathServiceUsers, key, nil), 401, api.CodeBadToken)
}
