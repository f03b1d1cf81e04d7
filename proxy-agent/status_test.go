//go:build unix

package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/farforge/farforge/proxy-agent/internal/fakebroker"
)

// verb runs a verb of proxy-agent for the farm's agent and returns its output.
func (f *farm) verb(name string, args ...string) (stdout, stderr string, err error) {
	f.t.Helper()
	self, err := os.Executable()
	if err != nil {
		f.t.Fatal(err)
	}
	var out, failed strings.Builder
	cmd := exec.Command(self, append([]string{name, "--state-dir", filepath.Join(f.dir, "state")}, args...)...)
	cmd.Env = append(os.Environ(), "FARFORGE_TEST_AGENT=1")
	cmd.Stdout, cmd.Stderr = &out, &failed
	err = cmd.Run()
	return out.String(), failed.String(), err
}

func TestStatusAndDrainOfARunningAgent(t *testing.T) {
	f := newFarm(t)
	if _, stderr, err := f.verb("status"); err == nil || !strings.HasPrefix(stderr, "error: no agent is running with the state folder ") {
		t.Errorf("without an agent: %v, %s", err, stderr)
	}
	p := f.start("--sandbox", "none", "--name", "anvil")
	first := f.broker.Next()
	stdout, stderr, err := f.verb("status")
	for _, want := range []string{"anvil takes jobs from " + f.broker.URL(), "cores   2 of 2 free", "memory  2048 of 2048 MiB free", "jobs    none", "builds  esp32c3 with sh 1.0"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the status lacks %q: %v\n%s%s", want, err, stdout, stderr)
		}
	}
	if stdout, _, err := f.verb("status", "--json"); err != nil || !strings.Contains(stdout, `"free_cores": 2`) {
		t.Errorf("%v, %s", err, stdout)
	}
	if stdout, _, err := f.verb("drain"); err != nil || stdout != "the agent is draining\n" {
		t.Errorf("drain: %v, %s", err, stdout)
	}
	last := f.broker.Next()
	if !last.Status.Draining {
		t.Error("the broker does not learn that the agent drains")
	}
	first.Reply(http.StatusNoContent, nil)
	last.Reply(http.StatusNoContent, nil)
	if err := fakebroker.Receive(t, p.ended, "end"); err != nil {
		t.Errorf("drained with %v", err)
	}
}

func TestDrainWaits(t *testing.T) {
	f := newFarm(t)
	p := f.start("--sandbox", "none")
	first := f.broker.Next()
	done := make(chan error, 1)
	go func() {
		_, stderr, err := f.verb("drain", "--wait")
		if stderr != "" {
			t.Error(stderr)
		}
		done <- err
	}()
	last := f.broker.Next()
	select {
	case err := <-done:
		t.Errorf("drain --wait ended before the agent: %v", err)
	default:
	}
	first.Reply(http.StatusNoContent, nil)
	last.Reply(http.StatusNoContent, nil)
	if err := fakebroker.Receive(t, p.ended, "end"); err != nil {
		t.Errorf("drained with %v", err)
	}
	if err := fakebroker.Receive(t, done, "end of drain --wait"); err != nil {
		t.Error(err)
	}
}
