package remote

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/client/internal/fakefarm"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
)

// TestRefusedUsers: the hints name the identity and what to do.
func TestRefusedUsers(t *testing.T) {
	t.Parallel()
	problem := func(status int, code api.Code, retry int) *api.Problem {
		return &api.Problem{Status: status, Code: code, Detail: "no", RetryAfter: retry}
	}
	tests := []struct {
		name    string
		as      string
		problem *api.Problem
		ahead   time.Duration
		want    string
		hint    string
	}{
		{"anonymous", "", problem(401, api.CodeUnauthorized, 0), 0, "the broker refuses: no (401 unauthorized)", "--access-key-file, --user-key or --oidc"},
		{"bad token", "the access key in k", problem(401, api.CodeBadToken, 0), 0, "(401 bad_token)", "the request carried the access key in k; ask the broker"},
		{"bad token and a wrong clock", "the OIDC token in t", problem(401, api.CodeBadToken, 0), -2 * time.Minute, "(401 bad_token)", "clock is 2m0s ahead of the broker's"},
		{"not allowed", "the SSH key SHA256:x", problem(403, api.CodeForbidden, 0), 0, "(403 forbidden)", "the request carried the SSH key SHA256:x"},
		{"quota", "the SSH key SHA256:x", problem(429, api.CodeTooFast, 300), 0, "(429 too_fast)", "another try in 5m0s"},
		{"quota of an anonymous user", "", problem(429, api.CodeTooFast, 300), 0, "(429 too_fast)", "show the broker who you are"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := fakefarm.New(t, nil)
			b.Set(func(s *fakefarm.Settings) { s.Problem, s.Ahead = tt.problem, tt.ahead })
			x := newTry(t, b)
			x.job.As = tt.as
			start := time.Now()
			_, err := Run(t.Context(), x.job)
			var e *cli.Error
			if !errors.As(err, &e) || e.Exit != cli.Broker || !strings.Contains(err.Error(), tt.want) || !strings.Contains(strings.Join(e.Hints, "\n"), tt.hint) {
				t.Errorf("got %v, %+v", err, e)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it waited %v", took)
			}
		})
	}
}

// TestShortRetryAfterIsHonored: the client waits and retries.
func TestShortRetryAfterIsHonored(t *testing.T) {
	t.Parallel()
	b := fakefarm.New(t, fakefarm.Succeeds(fakefarm.Made()))
	b.Set(func(s *fakefarm.Settings) {
		s.Problem, s.Refusals = &api.Problem{Status: http.StatusTooManyRequests, Code: api.CodeTooFast, Detail: "slower", RetryAfter: 1}, 1
	})
	start := time.Now()
	if _, err := Run(t.Context(), newTry(t, b).job); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < time.Second || len(b.Needs()) != 2 {
		t.Errorf("it sent %d requests within %v", len(b.Needs()), took)
	}
}

func TestWrongClockIsNamed(t *testing.T) {
	t.Parallel()
	for ahead, want := range map[time.Duration]string{
		0: "", 20 * time.Second: "", 5 * time.Minute: "behind the broker's", -5 * time.Minute: "ahead of the broker's",
	} {
		b := fakefarm.New(t, fakefarm.Succeeds(fakefarm.Made()))
		b.Set(func(s *fakefarm.Settings) { s.Ahead = ahead })
		x := newTry(t, b)
		if _, err := Run(t.Context(), x.job); err != nil {
			t.Fatal(err)
		}
		told := slices.ContainsFunc(x.events, func(e Event) bool {
			n, ok := e.(Notice)
			return ok && n.Code == NoticeClockSkew && (want == "" || strings.Contains(n.Message, want))
		})
		if told != (want != "") {
			t.Errorf("a clock that is %v off: the notice is %v", ahead, told)
		}
	}
}

// TestSilentBroker: a server that accepts connections and never responds is a broker that
// cannot be reached, not a lack of agents.
func TestSilentBroker(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	x := newTry(t, &fakefarm.Broker{URL: server.URL})
	x.job.QueueTimeout = time.Second
	if _, err := Run(t.Context(), x.job); cli.Code(err) != cli.Broker || len(cli.Hints(err)) == 0 {
		t.Errorf("exit code %d, %v", cli.Code(err), err)
	}
}
