package examples_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/farforge/farforge/examples/internal/launch"
)

// TestUsersWaitInLine has one agent that builds one job at a time, and three
// users. While it is busy, ada queues two jobs, then bob queues one, and a second
// one with a short --queue-timeout.
func TestUsersWaitInLine(t *testing.T) {
	f := &farm{t: t, dir: t.TempDir()}
	f.flags = []string{"--authorized-users", f.keys("authorized_users", "ada", "bob")}
	startFarm(f, "bench")
	f.agents[0].Stop(t, os.Kill)
	start(t, "proxy-agent", "run", "--url", f.url, "--state-dir", f.path("bench"), "--name", "bench", "--recipes", f.slowRecipes("$(cat seconds)"),
		"--jobs", "1", "--tag", "eu", "--tag", "bench").WaitFor(t, "enrolled")
	project := func(name, seconds string) string {
		return f.project(name, map[string]func(string) string{"seconds": func(string) string { return seconds }})
	}

	// A job that no agent can build is refused without waiting.
	long := project("long", "18")
	f.client(t.Context(), "build", long, "--tag", "eu", "--tag", "moon").want(t, 4, "moon")
	f.client(t.Context(), "build", long, "--toolchain", "riscv64-unknown-elf-gcc@<1").want(t, 4, "riscv64-unknown-elf-gcc <1")

	var mu sync.Mutex
	var served []string
	var group sync.WaitGroup
	outputs := map[string]*launch.Log{}
	begin := func(name string, args ...string) {
		t.Helper()
		cmd := f.command(t.Context(), append([]string{"build", "--json"}, args...)...)
		out, log := &launch.Log{}, &launch.Log{}
		outputs[name] = out
		cmd.Stdout, cmd.Stderr = out, log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			if err := cmd.Wait(); err != nil {
				t.Errorf("%s: %v\n%s", name, err, log)
			}
			mu.Lock()
			defer mu.Unlock()
			served = append(served, name)
		})
	}
	inLine := func(n float64) {
		t.Helper()
		eventually(t, "everybody is in line", func() bool { return f.metric("farforge_broker_queue_places") == n })
	}
	as := func(user string) string { return filepath.Join(f.path(user), "agent_key") }

	begin("long", long)
	eventually(t, "the first build runs", func() bool { return strings.Contains(outputs["long"].String(), `"stage":"build"`) })
	ada1, ada2, bob := project("ada1", "1"), project("ada2", "1"), project("bob", "1")
	begin("ada's first", ada1, "--user-key", as("ada"), "--tag", "eu", "--toolchain", "riscv64-unknown-elf-gcc@>=4,<1000")
	inLine(1)
	begin("ada's second", ada2, "--user-key", as("ada"))
	inLine(2)
	begin("bob's first", bob, "--user-key", as("bob"), "--explain")
	inLine(3)
	impatient := f.client(t.Context(), "build", bob, "--user-key", as("bob"), "--queue-timeout", "9s")
	impatient.want(t, 4, "all able agents are busy; 4th in line, ", "error: no agent took the job within 9s\n",
		"hint: all able agents are busy; the job was 4th in line, ", " from its start\n")
	if n := strings.Count(impatient.stderr, "busy; 4th in line"); n != 1 {
		t.Errorf("the client reports its place %d times:\n%s", n, impatient.stderr)
	}
	mu.Lock()
	early := slices.Clone(served)
	mu.Unlock()
	if len(early) > 0 {
		t.Fatalf("no job should have ended yet, but %q have", early)
	}
	group.Wait()

	if want := []string{"long", "ada's first", "bob's first", "ada's second"}; !slices.Equal(served, want) {
		t.Errorf("jobs were served in the order %q, want %q", served, want)
	}
	for name, want := range map[string]int{"ada's first": 1, "bob's first": 2, "ada's second": 3} {
		var w struct {
			Position     int
			EstimateSecs int `json:"estimate_seconds"`
		}
		result{stdout: outputs[name].String()}.event(t, "waiting", &w)
		if w.Position != want || w.EstimateSecs <= 0 {
			t.Errorf("%s: got %+v, want place %d", name, w, want)
		}
	}
	var why struct {
		Candidates []struct {
			Name string
			Wait float64 `json:"wait_seconds"`
		}
	}
	result{stdout: outputs["bob's first"].String()}.event(t, "explained", &why)
	if len(why.Candidates) != 1 || why.Candidates[0].Name != "bench" || why.Candidates[0].Wait <= 0 {
		t.Errorf("explanation of bob's first job: %+v", why)
	}
}
