//go:build unix

package main

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/proxy-agent/internal/fakebroker"
	"github.com/farforge/farforge/proxy-agent/sandbox"
)

// farm is a broker, and the state of an agent that a test can start repeatedly as a
// process of its own.
type farm struct {
	t      *testing.T
	broker *fakebroker.Broker
	dir    string
}

// newFarm makes a farm whose agent has its key in the state directory.
func newFarm(t *testing.T) *farm {
	t.Helper()
	f := &farm{t: t, dir: t.TempDir()}
	key, err := identity.GenerateKey(filepath.Join(f.dir, "state", keyName), "anvil")
	if err != nil {
		t.Fatal(err)
	}
	f.prepare(key)
	return f
}

// newFarmFor makes a farm for an agent whose key is elsewhere.
func newFarmFor(t *testing.T, key *identity.Key) *farm {
	t.Helper()
	f := &farm{t: t, dir: t.TempDir()}
	f.prepare(key)
	return f
}

func (f *farm) prepare(key *identity.Key) {
	t := f.t
	t.Helper()
	recipes := filepath.Join(f.dir, "recipes")
	if err := errors.Join(os.Mkdir(recipes, 0o755), os.WriteFile(filepath.Join(recipes, "a.toml"), []byte(fakebroker.Recipe), 0o644)); err != nil {
		t.Fatal(err)
	}
	f.broker = fakebroker.NewBroker(t, key)
	f.broker.Start()
}

// process is one run of the agent.
type process struct {
	*exec.Cmd
	log   bytes.Buffer
	ended chan error // one, when it has ended
}

func (f *farm) start(args ...string) *process {
	f.t.Helper()
	self, err := os.Executable()
	if err != nil {
		f.t.Fatal(err)
	}
	args = append([]string{"run", "--url", f.broker.URL(), "--state-dir", filepath.Join(f.dir, "state"),
		"--recipes", filepath.Join(f.dir, "recipes"), "--cores", "2", "--memory", "2048"}, args...)
	p := &process{Cmd: exec.Command(self, args...), ended: make(chan error, 1)}
	p.Env = append(os.Environ(), "FARFORGE_TEST_AGENT=1")
	p.Stdout, p.Stderr = &p.log, &p.log
	if err := p.Start(); err != nil {
		f.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); p.ended <- p.Wait() }()
	f.t.Cleanup(func() {
		p.Process.Kill()
		<-ended
		f.t.Logf("the agent's log:\n%s", p.log.String())
	})
	return p
}

// build starts a job whose script prints "up" and does not end.
func (f *farm) build(mark string) *fakebroker.Client {
	f.t.Helper()
	c := f.broker.NewClient("01"+strings.ToUpper(mark), func(g *grant.Grant) { g.CPUCores = 1 })
	f.broker.Next().Reply(http.StatusOK, c.Job)
	c.Build(f.broker, `sh -c 'setsid sleep 1000; :' `+mark+` &
		sh -c 'trap "" TERM HUP INT; echo up; while :; do sleep 1; done' `+mark+` & wait`)
	c.Until(channel.TypeLog)
	if len(running(f.t, mark)) == 0 {
		f.t.Fatal("this test starts nothing that could be left")
	}
	return c
}

func (f *farm) workspaces() []string {
	found, _ := filepath.Glob(filepath.Join(f.dir, "state", "workspaces", "job-*"))
	return found
}

// running returns the processes whose command line has the mark.
func running(t *testing.T, mark string) []string {
	t.Helper()
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	if len(paths) == 0 {
		t.Skip("this test counts processes in /proc")
	}
	var found []string
	for _, path := range paths {
		if data, err := os.ReadFile(path); err == nil && bytes.Contains(data, []byte(mark)) {
			found = append(found, path)
		}
	}
	return found
}

func needBubblewrap(t *testing.T) {
	t.Helper()
	if err := sandbox.NewBubblewrap(t.Context()).Check(t.Context()); err != nil {
		t.Skipf("no usable bubblewrap here: %v", err)
	}
}

// TestKilledAgentLeavesNoProcess kills the agent in the middle of a build, as
// the kernel does when memory is short.
func TestKilledAgentLeavesNoProcess(t *testing.T) {
	needBubblewrap(t)
	f := newFarm(t)
	p := f.start()
	mark := "farforge-killed-" + strconv.Itoa(os.Getpid())
	f.build(mark)
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	// The kernel kills the other processes a moment later.
	for end := time.Now().Add(patience); len(running(t, mark)) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still running: %q", running(t, mark))
		}
	}
	if len(f.workspaces()) != 1 {
		t.Fatalf("the killed agent left nothing to remove: %q", f.workspaces())
	}
	next := f.start()
	f.broker.Next() // it works again
	if left := f.workspaces(); len(left) > 0 {
		t.Errorf("the next agent has not removed %q", left)
	}
	next.Process.Signal(syscall.SIGTERM)
}

func TestSignalsDrainThenStop(t *testing.T) {
	needBubblewrap(t)
	f := newFarm(t)
	p := f.start()
	mark := "farforge-signal-" + strconv.Itoa(os.Getpid())
	c := f.build(mark)
	p.Process.Signal(syscall.SIGINT)
	for {
		last := f.broker.Next()
		last.Reply(http.StatusNoContent, nil)
		if last.Status.Draining {
			break
		}
	}
	if len(running(t, mark)) == 0 {
		t.Error("the first signal stopped the job")
	}
	time.Sleep(cli.SignalGap) // two signals within it count as one
	p.Process.Signal(syscall.SIGINT)
	if r := c.Result(); r.Outcome != api.OutcomeAgentFailed {
		t.Errorf("result %+v", r)
	}
	if r := fakebroker.Receive(t, f.broker.Reports, "report"); r.Outcome != api.OutcomeAgentFailed {
		t.Errorf("report %+v", r)
	}
	var exit *exec.ExitError
	if err := fakebroker.Receive(t, p.ended, "end"); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("after the second signal: %v", err)
	}
	if left := append(running(t, mark), f.workspaces()...); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestIdleAgentLeavesAtOnce(t *testing.T) {
	f := newFarm(t)
	p := f.start("--sandbox", "none", "--tag", "eu", "--tag", "gpu")
	if tags := f.broker.Next().Status.Tags; !slices.Equal(tags, []string{"eu", "gpu"}) {
		t.Errorf("its tags are %q", tags)
	}
	p.Process.Signal(syscall.SIGTERM)
	f.broker.Next().Reply(http.StatusNoContent, nil)
	if err := fakebroker.Receive(t, p.ended, "end"); err != nil {
		t.Errorf("drained with %v", err)
	}
	if !strings.Contains(p.log.String(), "builds for esp32c3 with sh 1.0") {
		t.Error("the log does not say what the agent builds for")
	}
}

func TestTwoAgentsInOneStateDirectory(t *testing.T) {
	f := newFarm(t)
	f.start("--sandbox", "none")
	f.broker.Next()
	second := f.start("--sandbox", "none")
	var exit *exec.ExitError
	if err := fakebroker.Receive(t, second.ended, "end"); !errors.As(err, &exit) || exit.ExitCode() != 2 ||
		!strings.Contains(second.log.String(), "another proxy-agent uses this state directory") {
		t.Errorf("the second agent: %v", err)
	}
}

func TestUnlistedAgentNamesItsLineAndWaits(t *testing.T) {
	f := newFarm(t)
	f.broker.Refuse(&api.Problem{Title: "Unauthorized", Detail: "the key is not listed", Status: http.StatusUnauthorized, Code: api.CodeBadSignature})
	p := f.start("--sandbox", "none", "--name", "anvil")
	fakebroker.Receive(t, f.broker.Refused(), "a refused session")
	f.broker.Refuse(nil)
	f.broker.Next() // the agent polls once it is listed
	p.Process.Signal(syscall.SIGTERM)
	p.Process.Signal(syscall.SIGTERM)
	fakebroker.Receive(t, p.ended, "end")
	if log := p.log.String(); !strings.Contains(log, "the broker does not list this agent") || !strings.Contains(log, `line="ssh-ed25519 `) {
		t.Errorf("it says\n%s", log)
	}
}

// TestHangupReloadsRecipes adds a recipe and breaks another file, while the agent
// runs with a third file that was broken from the start.
func TestHangupReloadsRecipes(t *testing.T) {
	f := newFarm(t)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(f.dir, "recipes", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("broken.toml", "nmae = 1")
	p := f.start("--sandbox", "none")
	first := f.broker.Next()
	if first.Status.Recipes != nil {
		t.Errorf("a recipe without a kind is announced: %+v", first.Status.Recipes)
	}
	withKind := strings.Replace(fakebroker.Recipe, "[project]", "[project]\nkind = \"shell\"", 1)
	write("a.toml", withKind)
	write("b.toml", strings.ReplaceAll(strings.Replace(withKind, `"script"`, `"second"`, 1), "esp32c3", "esp32s3"))
	write("c.toml", "name = ")
	if err := p.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	status := f.broker.Next().Status
	targets := map[string]bool{}
	for _, c := range status.Capabilities {
		targets[c.Target] = true
	}
	if !targets["esp32c3"] || !targets["esp32s3"] {
		t.Errorf("after the reload it offers %+v", status.Capabilities)
	}
	if !slices.ContainsFunc(status.Recipes, func(r api.Recipe) bool {
		return r.Name == "second" && r.Kind == "shell" && slices.Equal(r.Toolchains, []string{"sh@1.0"})
	}) {
		t.Errorf("it announces %+v", status.Recipes)
	}
	// A reload without any usable recipe changes nothing.
	for _, name := range []string{"a.toml", "b.toml"} {
		write(name, "name = ")
	}
	p.Process.Signal(syscall.SIGHUP)
	p.Process.Signal(syscall.SIGTERM)
	for !f.broker.Next().Status.Draining {
	}
	p.Process.Signal(syscall.SIGTERM)
	fakebroker.Receive(t, p.ended, "end")
	for _, says := range []string{"broken.toml:1: unknown key", "c.toml:1", "reloaded the recipes"} {
		if !strings.Contains(p.log.String(), says) {
			t.Errorf("the log does not say %q", says)
		}
	}
}
