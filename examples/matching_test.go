package examples_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestTheRightAgentGetsTheJob has three agents: one that is slow, one that is
// fast, and one that claims jobs and never answers, because its process is
// stopped.
func TestTheRightAgentGetsTheJob(t *testing.T) {
	f := newFarm(t, "quick", "stuck", "slow")
	f.agents[2].Stop(t, os.Kill)
	start(t, "proxy-agent", "run", "--url", f.url, "--state-dir", f.path("slow"), "--name", "slow", "--recipes", f.slowRecipes("8")).WaitFor(t, "enrolled")

	dir := f.project("hello", nil)
	who := func(args ...string) string {
		r := f.client(t.Context(), append([]string{"build", "--json", dir}, args...)...)
		r.want(t, 0)
		var e struct{ Agent struct{ Name string } }
		r.event(t, "connected", &e)
		return e.Agent.Name
	}
	for _, agent := range []string{"slow", "quick", "slow", "quick"} {
		if got := who("--agent", agent); got != agent {
			t.Fatalf("%s built the job for %s", got, agent)
		}
	}
	if err := f.agents[1].Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	built := map[string]int{}
	for range 6 {
		built[who()]++
	}
	if built["quick"] < 4 {
		t.Errorf("six jobs were built by %v", built)
	}
}

// slowRecipes makes a folder with a recipe that sleeps for some seconds before it
// builds the example.
func (f *farm) slowRecipes(seconds string) string {
	f.t.Helper()
	return f.recipes("recipes", `["sh", "-c", "sleep `+seconds+`; make OUT={out}"]`)
}

// recipes makes a folder with the example's recipe and replaces its build
// command.
func (f *farm) recipes(folder, command string) string {
	f.t.Helper()
	recipe, err := os.ReadFile("../proxy-agent/build/recipes/esp32c3-baremetal.toml")
	if err != nil {
		f.t.Fatal(err)
	}
	const build = `["make", "-j{cores}", "OUT={out}"]`
	if !strings.Contains(string(recipe), build) {
		f.t.Fatalf("the recipe has no build command %s", build)
	}
	if err := os.Mkdir(f.path(folder), 0o755); err != nil {
		f.t.Fatal(err)
	}
	changed := strings.Replace(string(recipe), build, command, 1)
	if err := os.WriteFile(filepath.Join(f.path(folder), "changed.toml"), []byte(changed), 0o644); err != nil {
		f.t.Fatal(err)
	}
	return f.path(folder)
}
