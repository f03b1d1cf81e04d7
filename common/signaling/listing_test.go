package signaling

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/farforge/farforge/common/api"
)

func TestLinks(t *testing.T) {
	for header, want := range map[string]string{
		"":                              "",
		`</agents?after=x>; rel="next"`: "/agents?after=x",
		`</a>;rel=next`:                 "/a",
		`</a>; rel = NEXT ; x`:          "/a",
		`</a,b;c>; title="x, <y>; rel=z\""; rel="prev next"`: "/a,b;c",
		`</a>; rel=prev, </b>; rel=next`:                     "/b",
		` , </a>, </b>;;rel="next", </c>`:                    "/b",
		`</a>; rel=prev; rel=next`:                           "",
		`</a>; x; relation=next`:                             "",
	} {
		if got, err := nextLink([]string{header}); err != nil || got != want {
			t.Errorf("%s leads to %q, %v; want %q", header, got, err, want)
		}
	}
	for _, header := range []string{`/a; rel=next`, `</a; rel=next`, `</a> rel=next`, `</a>; rel="next`, `</a>; re"l"=next`, `x`} {
		if got, err := nextLink([]string{header}); err == nil {
			t.Errorf("%s leads to %q", header, got)
		}
	}
	if got, err := nextLink([]string{`</a>; rel=prev`, `</b>; rel=next`}); got != "/b" || err != nil {
		t.Errorf("the second header: %q, %v", got, err)
	}
}

func TestLinksThatLeadAway(t *testing.T) {
	for broker, links := range map[string]map[string]string{
		"https://b.example": {
			"/agents?after=x": "after=x", "?after=y": "after=y", "https://B.example/agents?after=z": "after=z", "/agents": "",
			"https://evil.example/agents?after=x": "-", "//evil.example/agents": "-", "http://b.example/agents": "-", "https://u:p@b.example/agents": "-",
			"/services/agents?after=x": "-", "/agents/../services": "-", "https://b.example:8443/agents": "-", "%zz": "-", "/agents?a=%zz": "-",
		},
		"https://b.example/broker": {"/agents?after=x": "after=x", "/broker/agents?after=x": "after=x", "/other/agents": "-"},
	} {
		base, err := url.Parse(broker)
		if err != nil {
			t.Fatal(err)
		}
		for link, want := range links {
			got, err := onward(base, api.PathAgents, []string{"<" + link + `>; rel="next"`})
			if (err != nil) != (want == "-") || err == nil && got.Encode() != want {
				t.Errorf("%s at %s: %v, %v", link, broker, got, err)
			}
		}
	}
}

// FuzzOnward: for any Link header, the next request goes to the same broker and to
// the same list.
func FuzzOnward(f *testing.F) {
	f.Add(`</agents?after=x>; rel="next"`)
	f.Add(`<//evil>; rel=next, <?a>; title="\"`)
	base := &url.URL{Scheme: "https", Host: "b.example", Path: "/broker"}
	f.Fuzz(func(t *testing.T, header string) {
		query, err := onward(base, api.PathAgents, []string{header})
		if err != nil || query == nil {
			return
		}
		link, err := nextLink([]string{header})
		if err != nil || !strings.Contains(header, "<"+link+">") {
			t.Fatalf("%q is not in %q, %v", link, header, err)
		}
		if _, err := http.NewRequest(http.MethodGet, "https://b.example/broker/agents?"+query.Encode(), nil); err != nil {
			t.Fatal(err)
		}
	})
}

// paged serves n agents, few a page.
func paged(n, few int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		from := 0
		_, _ = fmt.Sscan(r.URL.Query().Get(api.AfterParam), &from)
		some := []api.AgentInfo{}
		for i := from; i < min(from+few, n); i++ {
			some = append(some, api.AgentInfo{Name: fmt.Sprint(i), State: api.AgentIdle})
		}
		if from+few < n {
			query := r.URL.Query()
			query.Set(api.AfterParam, fmt.Sprint(from+few))
			w.Header().Set("Link", "<"+api.PathAgents+"?"+query.Encode()+`>; rel="next"`)
		}
		reply(w, 200, some)
	}
}

func TestAgentsComeInPages(t *testing.T) {
	list := paged(25, 10)
	var asked []string
	busy := true
	c := broker(t, map[string]http.HandlerFunc{"GET " + api.PathAgents: func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("page %d is requested without the token", len(asked))
		}
		if len(asked) == 2 && busy { // too fast: a reason to wait, not to give up
			busy = false
			w.Header().Set("Retry-After", "0")
			reply(w, 429, api.Problem{Code: api.CodeTooFast, Status: 429})
			return
		}
		list(w, r)
	}})
	c.token = func(context.Context) (string, error) { return "secret", nil }
	got, err := c.Agents(t.Context(), api.AgentQuery{Target: "esp32", Tags: []string{"eu"}})
	if err != nil || len(got) != 25 || got[24].Name != "24" {
		t.Fatalf("%d agents, %v", len(got), err)
	}
	if want := "tag=eu&target=esp32|after=10&tag=eu&target=esp32|after=10&tag=eu&target=esp32|after=20&tag=eu&target=esp32"; strings.Join(asked, "|") != want {
		t.Errorf("requested %q", asked)
	}
}

func TestAgentsWhenTheListChanges(t *testing.T) {
	var asked atomic.Int32
	gone := int32(2)
	list := paged(15, 10)
	c := broker(t, map[string]http.HandlerFunc{"GET " + api.PathAgents: func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Query().Get(api.AfterParam) != "" && gone != 0 {
			gone--
			reply(w, 410, api.Problem{Code: api.CodeExpired, Status: 410})
			return
		}
		list(w, r)
	}})
	if got, err := c.Agents(t.Context(), api.AgentQuery{}); err != nil || len(got) != 15 || asked.Load() != 6 {
		t.Errorf("%d agents, %v after %d requests", len(got), err, asked.Load())
	}
	gone = -1 // at each request
	var p *api.Problem
	if got, err := c.Agents(t.Context(), api.AgentQuery{}); !errors.As(err, &p) || p.Code != api.CodeExpired {
		t.Errorf("%d agents, %v", len(got), err)
	}
}

func TestListsThatAreRefused(t *testing.T) {
	for name, serve := range map[string]http.HandlerFunc{
		"no list": func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, api.AgentInfo{}) },
		"leads away": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", `<https://evil.example/agents>; rel="next"`)
			reply(w, 200, []int{})
		},
		"leads to itself": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", `<?`+r.URL.RawQuery+`>; rel="next"`)
			reply(w, 200, []int{})
		},
		"a Link that is none": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Link", `next`); reply(w, 200, []int{}) },
		"no end":              paged(1<<30, 1),
	} {
		c := broker(t, map[string]http.HandlerFunc{"GET " + api.PathAgents: serve})
		var u *Unreachable
		if got, err := c.Agents(t.Context(), api.AgentQuery{}); !errors.As(err, &u) {
			t.Errorf("%s: %d agents, %v", name, len(got), err)
		}
	}
}

// TestFirstPageIsRequestedOnce: the caller learns at once that the broker is
// unreachable.
func TestFirstPageIsRequestedOnce(t *testing.T) {
	asked := 0
	c := broker(t, map[string]http.HandlerFunc{"GET " + api.PathAgents: func(w http.ResponseWriter, _ *http.Request) {
		asked++
		reply(w, 503, api.Problem{Code: api.CodeDraining, Status: 503})
	}})
	if _, err := c.Agents(t.Context(), api.AgentQuery{}); err == nil || asked != 1 {
		t.Errorf("%v after %d requests", err, asked)
	}
	failing := client(t, "http://127.0.0.1:1")
	failing.token = func(context.Context) (string, error) { return "", errors.New("no token") }
	if _, err := failing.Agents(t.Context(), api.AgentQuery{}); err == nil || err.Error() != "no token" {
		t.Errorf("%v", err)
	}
}
