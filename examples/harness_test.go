// Package examples_test runs the real programs against each other on loopback:
// processes, HTTP, WebRTC, the sandbox, the cross compiler, and a simulated
// chip on a pseudo-terminal.
package examples_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/farforge/farforge/examples/internal/launch"
)

// programs is the folder in which TestMain has built the programs.
var programs string

func TestMain(m *testing.M) {
	launch.Main(m, &programs, raceEnabled, "broker", "proxy-agent", "client", "examples/simulated-chip")
}

// needTools skips a test on a machine without the tools of a build.
func needTools(t testing.TB) {
	t.Helper()
	launch.Need(t, "bwrap", "riscv64-unknown-elf-gcc", "make")
}

// start runs a program until it is stopped or the test ends.
func start(t testing.TB, name string, args ...string) *launch.Process {
	t.Helper()
	return launch.Start(t, exec.Command(filepath.Join(programs, name), args...))
}

// farm is a broker and its agents.
type farm struct {
	t      testing.TB
	dir    string
	url    string
	tap    *tap     // if set, agents and clients connect to it instead of the broker
	flags  []string // further flags of the broker
	broker *launch.Process
	agents []*launch.Process
}

// newFarm starts a broker with one agent for each name.
func newFarm(t testing.TB, agents ...string) *farm {
	t.Helper()
	return startFarm(&farm{t: t, dir: t.TempDir()}, agents...)
}

// newTappedFarm starts a farm whose agents and clients reach the broker through
// a tap.
func newTappedFarm(t testing.TB, agents ...string) *farm {
	t.Helper()
	return startFarm(&farm{t: t, dir: t.TempDir(), tap: newTap(t)}, agents...)
}

func startFarm(f *farm, agents ...string) *farm {
	t := f.t
	t.Helper()
	needTools(t)
	f.keys("authorized_agents", agents...)
	f.startBroker("127.0.0.1:0")
	for _, name := range agents {
		f.agents = append(f.agents, start(t, "proxy-agent", "run", "--url", f.url, "--state-dir", f.path(name), "--name", name, "--log-level", "debug"))
	}
	for _, a := range f.agents {
		a.WaitFor(t, "enrolled")
	}
	return f
}

// keys makes a key for each name, and returns the file that lists them for the
// broker.
func (f *farm) keys(file string, names ...string) string {
	f.t.Helper()
	var list []byte
	for _, name := range names {
		out, err := exec.Command(filepath.Join(programs, "proxy-agent"), "keygen", "--state-dir", f.path(name), "--name", name).Output()
		if err != nil {
			f.t.Fatalf("keygen: %v", err)
		}
		list = append(list, out...)
	}
	if err := os.WriteFile(f.path(file), list, 0o600); err != nil {
		f.t.Fatal(err)
	}
	return f.path(file)
}

func (f *farm) path(name string) string { return filepath.Join(f.dir, name) }

// startBroker starts or restarts the broker on its state directory.
func (f *farm) startBroker(addr string) {
	f.t.Helper()
	f.broker = start(f.t, "broker", f.brokerArgs(addr)...)
	f.url, _, _ = strings.Cut(f.broker.WaitFor(f.t, "listening on "), " ")
	if f.tap != nil {
		f.tap.connect(f.t, f.url)
		f.url = f.tap.server.URL
	}
}

func (f *farm) brokerArgs(addr string) []string {
	args := []string{"--addr", addr, "--disable-tls", "--open", "--exact-metrics", "--state-dir", f.path("broker"),
		"--authorized-agents", f.path("authorized_agents"), "--log-level", "debug"}
	if f.tap != nil {
		args = append(args, "--origin", f.tap.server.URL)
	}
	return append(args, f.flags...)
}

// metric returns the value of one of the broker's metrics.
func (f *farm) metric(name string) float64 {
	f.t.Helper()
	resp, err := http.Get(f.url + "/metrics")
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				f.t.Fatal(err)
			}
			return n
		}
	}
	f.t.Fatalf("the broker has no metric %s", name)
	return 0
}

// result is the exit code and output of a client.
type result struct {
	code           int
	stdout, stderr string
}

// client runs a client to its end.
func (f *farm) client(ctx context.Context, args ...string) result {
	f.t.Helper()
	cmd := f.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		f.t.Errorf("client %v: %v", args, err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// command returns a client that is not started yet; the end of ctx interrupts it.
func (f *farm) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(programs, "client"), args...)
	cmd.Env = append(os.Environ(), "FARFORGE_URL="+f.url, "HOME="+f.dir, "XDG_CONFIG_HOME="+f.path("config"), "NO_COLOR=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 30 * time.Second
	return cmd
}

func (r result) want(t testing.TB, code int, says ...string) {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d\nstdout:\n%s\nstderr:\n%s", r.code, code, r.stdout, r.stderr)
	}
	for _, text := range says {
		if !strings.Contains(r.stderr, text) {
			t.Errorf("stderr does not contain %q:\n%s", text, r.stderr)
		}
	}
}

// report is the last object of client --json.
type report struct {
	Build struct {
		Agent struct {
			Name string `json:"name"`
		} `json:"agent"`
		SetupMS int64  `json:"setup_ms"`
		TotalMS int64  `json:"total_ms"`
		Dir     string `json:"dir"`
		Image   struct {
			Path   string `json:"path"`
			SHA256 string `json:"sha256"`
		} `json:"image"`
	} `json:"build"`
	Flash struct {
		Chip    string `json:"chip"`
		Regions []struct {
			Name string `json:"name"`
		} `json:"regions"`
	} `json:"flash"`
}

// event returns the last object of that kind in the output of client --json.
func (r result) event(t testing.TB, kind string, into any) {
	t.Helper()
	found := false
	for line := range strings.Lines(r.stdout) {
		var e struct{ Event string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("not JSON: %q", line)
		}
		if e.Event == kind {
			found = true
			if err := json.Unmarshal([]byte(line), into); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !found {
		t.Fatalf("no %q in:\n%s", kind, r.stdout)
	}
}

// project copies the example into a folder of its own and applies edits.
func (f *farm) project(name string, edits map[string]func(string) string) string {
	f.t.Helper()
	dir := f.path(name)
	if err := os.CopyFS(dir, os.DirFS("esp32c3-hello")); err != nil {
		f.t.Fatal(err)
	}
	for _, made := range []string{".farforge", "build"} {
		if err := os.RemoveAll(filepath.Join(dir, made)); err != nil {
			f.t.Fatal(err)
		}
	}
	for file, edit := range edits {
		old, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			f.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(edit(string(old))), 0o644); err != nil {
			f.t.Fatal(err)
		}
	}
	return dir
}

// running counts the processes on this machine that have text in their command
// line.
func running(t testing.TB, text string) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil && bytes.Contains(data, []byte(text)) {
			n++
		}
	}
	return n
}

// eventually polls a condition that another process makes true.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s still waiting for: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
