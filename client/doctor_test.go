package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/front/fronttest"
	"github.com/farforge/farforge/common/grant"
)

// ailing is a broker with several addresses.
type ailing struct {
	ca *fronttest.CA
	// plain is the broker itself, in clear; secure is it over TLS.
	plain, secure *httptest.Server
	problem       *api.Problem // the answer to grant requests
	needs         []api.GrantRequest
}

func newAiling(t *testing.T) *ailing {
	t.Helper()
	b := &ailing{ca: fronttest.NewCA(t)}
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	send := func(w http.ResponseWriter, status int, kind string, v any) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+api.PathHealth, func(w http.ResponseWriter, _ *http.Request) {
		send(w, 200, api.TypeJSON, api.Health{Status: "ok", Version: "v0.1.0"})
	})
	mux.HandleFunc("GET "+api.PathJWKS, func(w http.ResponseWriter, _ *http.Request) {
		send(w, 200, "application/jwk-set+json", grant.NewKeySet(public))
	})
	mux.HandleFunc("POST "+api.PathGrantRequest, func(w http.ResponseWriter, r *http.Request) {
		var need api.GrantRequest
		if err := json.NewDecoder(r.Body).Decode(&need); err != nil || need.Validate() != nil {
			t.Errorf("%v, %v", err, need.Validate())
		}
		b.needs = append(b.needs, need)
		if b.problem != nil {
			send(w, b.problem.Status, api.TypeProblem, b.problem)
			return
		}
		send(w, 200, api.TypeJSON, api.GrantResponse{JobID: "J", Candidates: []api.Candidate{{Name: "bench"}}})
	})
	b.plain = httptest.NewServer(fronttest.Publish(mux))
	b.secure = httptest.NewUnstartedServer(fronttest.Publish(mux))
	b.secure.Config.ErrorLog = log.New(io.Discard, "", 0) // refused certificates
	b.secure.TLS = b.ca.TLS("127.0.0.1", "localhost")
	b.secure.StartTLS()
	t.Cleanup(b.plain.Close)
	t.Cleanup(b.secure.Close)
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	return b
}

// onLocalhost returns the address with the name localhost.
func onLocalhost(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("localhost", port)
}

// TestDocumentsDoctor runs client doctor as the document shows it: through a
// filter, two nginx and a missing cache.
func TestDocumentsDoctor(t *testing.T) {
	b := newAiling(t)
	filter := fronttest.StartFilter(t)
	good := fronttest.StartNginx(t, b.ca, true, []string{"localhost"}, map[string]string{"127.0.0.1": b.plain.URL})
	other := fronttest.StartNginx(t, b.ca, true, []string{"localhost"}, nil)
	names := strings.NewReplacer("cdn.example", onLocalhost(t, good.Addr), "other.example", onLocalhost(t, other.Addr), "cache.example", "localhost:1")
	t.Setenv("FARFORGE_URL", "https://"+filter)
	shown := blocks(t, "text")
	var doctor string
	for _, block := range shown {
		if strings.HasPrefix(block, "$ client doctor ") {
			doctor = block
		}
	}
	command, want, _ := strings.Cut(strings.TrimPrefix(doctor, "$ "), "\n")
	args := append(words(names.Replace(strings.TrimPrefix(command, "client "))), "--ca-file", b.ca.File(), "--proxy", "none")
	var stdout, stderr bytes.Buffer
	if code := execute(t.Context(), args, &stdout, &stderr); code != cli.Done {
		t.Fatalf("exit code %d\n%s%s", code, stdout.String(), stderr.String())
	}
	// The order of the fronts is random.
	if got, want := sections(stdout.String()), sections(names.Replace(want)); len(got) != len(want) {
		t.Errorf("%d sections, want %d", len(got), len(want))
	} else {
		for title, text := range want {
			pattern := strings.ReplaceAll(regexp.QuoteMeta(text), "…", ".*")
			if !regexp.MustCompile(`\A` + pattern + `\z`).MatchString(got[title]) {
				t.Errorf("client doctor writes\n%s\nthe document has\n%s", got[title], text)
			}
		}
	}
	if len(b.needs) != 1 || b.needs[0].Target != "esp32c3" {
		t.Errorf("the requests are %+v", b.needs)
	}
	if stderr.Len() > 0 {
		t.Errorf("on standard error: %s", stderr.String())
	}
}

// sections splits text at lines that are not indented.
func sections(text string) map[string]string {
	out := map[string]string{}
	title := ""
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, " ") {
			title, _, _ = strings.Cut(line, ": ")
		}
		out[title] += line
	}
	return out
}

// doctorJSON runs client doctor --json.
func doctorJSON(t *testing.T, b *ailing, args ...string) (code cli.Exit, ways []console.Way, result console.Report) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = execute(t.Context(), append([]string{"doctor", "--json", "--proxy", "none", "--ca-file", b.ca.File()}, args...), &stdout, &stderr)
	for line := range strings.Lines(stdout.String()) {
		var head struct{ Event string }
		if err := json.Unmarshal([]byte(line), &head); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		var err error
		switch head.Event {
		case "way":
			var w console.Way
			err = json.Unmarshal([]byte(line), &w)
			ways = append(ways, w)
		case "result":
			err = json.Unmarshal([]byte(line), &result)
		}
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	return code, ways, result
}

func TestDoctorThroughAMP(t *testing.T) {
	b := newAiling(t)
	cache := fronttest.StartAMPCache(t, b.ca, "localhost", b.secure.Listener.Addr().String())
	u, err := url.Parse(b.secure.URL)
	if err != nil {
		t.Fatal(err)
	}
	b.problem = &api.Problem{Title: "Service Unavailable", Status: 503, Code: api.CodeNoAgent, Detail: "no agent is online", Hints: []string{"start one"}}
	code, ways, result := doctorJSON(t, b, "--url", "https://localhost:"+u.Port(), "--ampcache", cache.URL, "--rendezvous", "amp,direct")
	if code != cli.Done || len(ways) != 2 || !ways[0].Works || ways[0].Leg != "amp" || !ways[1].Works || len(ways[0].Steps) != 6 {
		t.Errorf("exit code %d, %+v", code, ways)
	}
	if d := result.Doctor; d == nil || !d.Works || d.Leg != "amp" || len(d.Agents) != 0 || d.Problem != "no agent is online; start one" {
		t.Errorf("%+v", d)
	}
}

func TestDoctorWhenNothingWorks(t *testing.T) {
	b := newAiling(t)
	code, ways, result := doctorJSON(t, b, "--url", "http://127.0.0.1:1")
	if code != cli.Broker || len(ways) != 1 || ways[0].Works || ways[0].Steps[0].Hint == "" || result.Doctor == nil || result.Doctor.Works {
		t.Errorf("exit code %d, %+v, %+v", code, ways, result.Doctor)
	}
	if code, ways, _ := doctorJSON(t, b, "--url", b.plain.URL+"/elsewhere"); code != cli.Broker || len(ways) != 1 || ways[0].Steps[1].Step != "http" {
		t.Errorf("something else at the URL: exit code %d, %+v", code, ways)
	}
	for name, args := range map[string][]string{
		"no URL":         {},
		"bad way":        {"--url", b.plain.URL, "--rendezvous", "teleport"},
		"front in clear": {"--url", b.plain.URL, "--front", "cdn.example"},
		"no such file":   {"--url", b.plain.URL, "--ca-file", filepath.Join(t.TempDir(), "none")},
	} {
		if code, _, _ := doctorJSON(t, b, args...); code != cli.Usage {
			t.Errorf("%s: exit code %d", name, code)
		}
	}
}

// TestCertificatesAreExplained checks the hint for each fault of TLS.
func TestCertificatesAreExplained(t *testing.T) {
	b := newAiling(t)
	u, err := url.Parse(b.secure.URL)
	if err != nil {
		t.Fatal(err)
	}
	named := httptest.NewUnstartedServer(http.NotFoundHandler())
	named.Config.ErrorLog = log.New(io.Discard, "", 0)
	named.TLS = b.ca.TLS("other.example")
	named.StartTLS()
	defer named.Close()
	plain, err := url.Parse(b.plain.URL)
	if err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"--ca-file":     {"--url", "https://localhost:" + u.Port(), "--ca-file", fronttest.NewCA(t).File()},
		"another site":  {"--url", named.URL},
		"not speak TLS": {"--url", "https://127.0.0.1:" + plain.Port()},
		"the front's":   {"--url", "https://broker.example.org", "--front", onLocalhost(t, named.Listener.Addr().String())},
		"is cut off":    {"--url", "https://broker.example.org", "--front", onLocalhost(t, fronttest.StartFilter(t)), "--utls-imitate", "hellofirefox_auto"},
	} {
		code, ways, _ := doctorJSON(t, b, args...)
		if code != cli.Broker || len(ways) != 1 {
			t.Errorf("%s: exit code %d, %+v", want, code, ways)
			continue
		}
		if last := ways[0].Steps[len(ways[0].Steps)-1]; !strings.Contains(last.Hint, want) {
			t.Errorf("%s: %+v", want, last)
		}
	}
}
