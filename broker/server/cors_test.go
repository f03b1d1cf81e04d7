package server

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/farforge/farforge/common/api"
)

const page = "https://page.example"

func TestCORS(t *testing.T) {
	listed, other := []string{page, "http://localhost:5173"}, "https://evil.example"
	all := []string{AnyOrigin}
	for _, c := range []struct {
		name         string
		allowed      []string
		method, path string
		origin       string
		wanted       string // Access-Control-Request-Method
		status       int
		allow        string // Access-Control-Allow-Origin
		methods      string
		varies       bool
	}{
		{"preflight", listed, "OPTIONS", api.PathGrantRequest, page, "POST", 204, page, "POST", true},
		{"preflight of another listed one", listed, "OPTIONS", api.PathGrantRequest, "http://localhost:5173", "POST", 204, "http://localhost:5173", "POST", true},
		{"preflight of an offer", listed, "OPTIONS", "/signaling/" + someJob + "/offer", page, "POST", 204, page, "POST", true},
		{"preflight of events", listed, "OPTIONS", "/signaling/" + someJob + "/events", page, "GET", 204, page, "GET", true},
		{"preflight of a confirmation", listed, "OPTIONS", "/signaling/" + someJob + "/confirmation", page, "POST", 204, page, "POST", true},
		{"preflight of a stranger", listed, "OPTIONS", api.PathGrantRequest, other, "POST", 204, "", "", true},
		{"an origin in another case", listed, "OPTIONS", api.PathGrantRequest, "https://PAGE.example", "POST", 204, "", "", true},
		{"an origin that begins like ours", listed, "OPTIONS", api.PathGrantRequest, page + ".evil.example", "POST", 204, "", "", true},
		{"the null origin", listed, "OPTIONS", api.PathGrantRequest, "null", "POST", 204, "", "", true},
		{"any", all, "OPTIONS", api.PathGrantRequest, other, "POST", 204, "*", "POST", false},
		{"OPTIONS that is not a preflight", listed, "OPTIONS", api.PathGrantRequest, page, "", 405, page, "", true},
		{"off", nil, "OPTIONS", api.PathGrantRequest, page, "POST", 405, "", "", false},

		{"health", listed, "GET", api.PathHealth, page, "", 200, page, "", true},
		{"health for a stranger", listed, "GET", api.PathHealth, other, "", 200, "", "", true},
		{"keys without an origin", listed, "GET", api.PathJWKS, "", "", 200, "", "", true},
		{"keys for any", all, "GET", api.PathJWKS, "", "", 200, "*", "", false},
		{"an error can be read", listed, "POST", api.PathGrantRequest, page, "", 400, page, "", true},
		{"a wrong method can be read", listed, "DELETE", api.PathHealth, page, "", 405, page, "", true},
		{"off for health", nil, "GET", api.PathHealth, page, "", 200, "", "", false},

		{"the list of agents", listed, "GET", api.PathAgents, page, "", 200, page, "", true},
		{"preflight of it", listed, "OPTIONS", api.PathAgents, page, "GET", 204, page, "GET", true},

		{"agents", all, "OPTIONS", api.PathAgentPoll, page, "POST", 405, "", "", false},
		{"agents' hello", listed, "POST", api.PathAgentHello, page, "", 400, "", "", false},
		{"metrics", all, "GET", api.PathMetrics, page, "", 200, "", "", false},
		{"operators", all, "OPTIONS", api.PathServiceAgent, page, "GET", 405, "", "", false},
		{"nothing", all, "OPTIONS", "/", page, "GET", 404, "", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.adjust = func(cfg *Config) {
				cfg.AllowedOrigins = c.allowed
				cfg.Services = &Services{Token: strings.Repeat("t", 32)}
			}
			b := w.start()
			req, err := http.NewRequestWithContext(t.Context(), c.method, b.url+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range map[string]string{"Origin": c.origin, "Access-Control-Request-Method": c.wanted, "Access-Control-Request-Headers": "authorization,content-type"} {
				if value != "" {
					req.Header.Set(name, value)
				}
			}
			r := b.do(req)
			if r.err != nil || r.status != c.status {
				t.Fatalf("status %d, %v; want %d", r.status, r.err, c.status)
			}
			h := r.header
			if got := h.Get("Access-Control-Allow-Origin"); got != c.allow {
				t.Errorf("allowed origin %q, want %q", got, c.allow)
			}
			if got := h.Get("Access-Control-Allow-Methods"); got != c.methods {
				t.Errorf("methods %q, want %q", got, c.methods)
			}
			if c.methods != "" && (h.Get("Access-Control-Allow-Headers") != "Authorization, Content-Type" || h.Get("Access-Control-Max-Age") != "7200" || len(r.body) > 0) {
				t.Errorf("%v %s", h, r.body)
			}
			if exposed := h.Get("Access-Control-Expose-Headers"); c.allow != "" && c.methods == "" && exposed != "Link, Retry-After" {
				t.Errorf("exposed headers %q", exposed)
			}
			if got := slices.Contains(h.Values("Vary"), "Origin"); got != c.varies {
				t.Errorf("Vary: %q", h.Values("Vary"))
			}
			if h.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("credentials are allowed")
			}
		})
	}
}
