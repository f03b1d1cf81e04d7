package browser

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/examples/internal/launch"
)

// project is the project that the page builds.
type project struct {
	Files  map[string]string `json:"files"`
	Target string            `json:"target"`
	Recipe string            `json:"recipe,omitempty"`
}

// report is the result that the page posts.
type report struct {
	Signed    bool
	Messages  []channel.Message
	Result    channel.Result
	Artifacts map[string][]byte
	Error     *struct {
		Name, Message string
		Status        int
		Code          api.Code
	}
}

// hello is the example project.
func hello(t *testing.T) project {
	t.Helper()
	p := project{Target: "esp32c3", Files: map[string]string{}}
	for _, name := range []string{"Makefile", "esp32c3.h", "link.ld", "main.c", "start.S"} {
		text, err := os.ReadFile(filepath.Join("..", "esp32c3-hello", name))
		if err != nil {
			t.Fatal(err)
		}
		p.Files[name] = string(text)
	}
	return p
}

// site is the page's server; it has an origin of its own.
type site struct {
	*httptest.Server
	reports chan report
}

func newSite(t *testing.T, p project) *site {
	t.Helper()
	s := &site{reports: make(chan report, 1)}
	mux := http.NewServeMux()
	for path, file := range map[string]string{
		"/{$}": "index.html", "/farforge.js": "farforge.js", "/fzstd.mjs": filepath.Join("node_modules", "fzstd", "esm", "index.mjs"),
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			if filepath.Ext(file) != ".html" {
				w.Header().Set("Content-Type", "text/javascript")
			}
			http.ServeFile(w, r, file)
		})
	}
	mux.HandleFunc("GET /project", func(w http.ResponseWriter, r *http.Request) { _ = json.NewEncoder(w).Encode(p) })
	mux.HandleFunc("POST /report", func(w http.ResponseWriter, r *http.Request) {
		var got report
		if err := json.NewDecoder(io.LimitReader(r.Body, 16<<20)).Decode(&got); err != nil {
			t.Errorf("the page's report: %v", err)
		}
		select {
		case s.reports <- got:
		default:
			t.Error("the page reported twice")
		}
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// visit opens the page in Chromium and returns its report.
func (s *site) visit(t *testing.T, broker string) report {
	t.Helper()
	profile, err := os.MkdirTemp("", "farforge-chromium")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(profile) }) // its processes may still be ending
	cmd := exec.Command("chromium",
		"--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--user-data-dir="+profile,
		// Chromium must connect only to the page's server, the broker and the agent.
		"--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		// The broker is on loopback, so the agent offers only loopback addresses.
		// Chromium excludes the loopback interface and reaches them from another
		// of its addresses; on a machine that has none it needs the first flag.
		// The second flag stops it from hiding its addresses behind multicast DNS
		// names. A page needs neither flag for an agent on another machine.
		"--allow-loopback-in-peer-connection", "--disable-features=WebRtcHideLocalIpsWithMdns",
		"--enable-logging=stderr", // shows the page's console
		s.URL+"/?broker="+url.QueryEscape(broker))
	cmd.Env = append(os.Environ(), "HOME="+profile)
	launch.Start(t, cmd)
	select {
	case r := <-s.reports:
		return r
	case <-time.After(90 * time.Second):
		t.Fatal("the page sent no report")
		return report{}
	}
}

// install fetches the page's only library.
func install(t *testing.T) {
	t.Helper()
	launch.Need(t, "chromium", "npm", "bwrap", "make", "riscv64-unknown-elf-gcc")
	if _, err := os.Stat(filepath.Join("node_modules", "fzstd")); err == nil {
		return
	}
	if out, err := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts").CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
}

// TestAPageBuilds checks that a page of another origin builds firmware, from the
// grant to the image.
func TestAPageBuilds(t *testing.T) {
	install(t)
	s := newSite(t, hello(t))
	broker, log := farm(t, "--allowed-origins", s.URL)
	got := s.visit(t, broker)
	if got.Error != nil {
		t.Fatalf("%+v", *got.Error)
	}
	if got.Result.Outcome != api.OutcomeSucceeded {
		t.Fatalf("result: %+v, %v", got.Result, got.Result.Problem)
	}
	if !got.Signed {
		t.Error("the answer has no signature of an agent")
	}
	var stages []channel.StageName
	lines := 0
	for _, m := range got.Messages {
		switch m.Type {
		case channel.TypeStage:
			stages = append(stages, m.Stage.Name)
		case channel.TypeLog:
			lines += len(m.Log.Lines)
		}
	}
	if want := []channel.StageName{channel.StageSource, channel.StageBuild, channel.StageArtifacts}; !slices.Equal(stages, want) || lines == 0 {
		t.Errorf("stages %v, want %v; %d lines of log", stages, want, lines)
	}
	// The result does not list the signed statement.
	if names := slices.Collect(maps.Keys(got.Artifacts)); len(got.Result.Artifacts) == 0 || !slices.Contains(names, "hello.bin") {
		t.Errorf("artifacts: %v, listed in the result: %v", names, got.Result.Artifacts)
	}
	for _, a := range got.Result.Artifacts {
		if sum := sha256.Sum256(got.Artifacts[a.Path]); hex.EncodeToString(sum[:]) != a.SHA256 {
			t.Errorf("%s has %d bytes and a SHA-256 that differs from the result", a.Path, len(got.Artifacts[a.Path]))
		}
	}
	if text := log.String(); !strings.Contains(text, "route=offer status=200") || strings.Contains(text, "peer=") {
		t.Errorf("the broker's log:\n%s", text)
	}
	if text := log.String(); !strings.Contains(text, "route=confirmation status=204") {
		t.Errorf("the page sent no confirmation; the broker's log:\n%s", text)
	}
}

// TestAPageSeesTheAgentsError builds with a recipe that no agent has.
func TestAPageSeesTheAgentsError(t *testing.T) {
	install(t)
	p := hello(t)
	p.Recipe = "no-such-recipe"
	s := newSite(t, p)
	broker, _ := farm(t, "--allowed-origins", "https://elsewhere.example,"+s.URL)
	got := s.visit(t, broker)
	if got.Error != nil {
		t.Fatalf("%+v", *got.Error)
	}
	if problem := got.Result.Problem; problem == nil || problem.Code != channel.ProblemNoRecipe || len(got.Artifacts) > 0 {
		t.Errorf("result: %+v, %v", got.Result, problem)
	}
}

// TestAPageReadsRefusals requests a chip that no agent builds for. The page must
// be able to read the broker's problem document.
func TestAPageReadsRefusals(t *testing.T) {
	install(t)
	p := hello(t)
	p.Target = "esp8266"
	s := newSite(t, p)
	broker, _ := farm(t, "--allowed-origins", s.URL)
	if got := s.visit(t, broker).Error; got == nil || got.Status != http.StatusServiceUnavailable || got.Code != api.CodeNoTarget {
		t.Errorf("the page saw %+v", got)
	}
}

// TestAForeignPageIsRefused checks that the browser keeps a page from a broker
// that does not list the page's origin.
func TestAForeignPageIsRefused(t *testing.T) {
	install(t)
	s := newSite(t, hello(t))
	broker, log := farm(t, "--allowed-origins", "https://elsewhere.example")
	if got := s.visit(t, broker).Error; got == nil || got.Name != "TypeError" || got.Status != 0 {
		t.Errorf("the page saw %+v", got)
	}
	if strings.Contains(log.String(), "route=grant") {
		t.Errorf("the page requested a grant:\n%s", log)
	}
}
