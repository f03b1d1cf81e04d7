package examples_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/farforge/farforge/common/api"
)

// pace is the build command of the agents of TestSlowBrokenAndWarm: it adds sleep
// to the real compiler's time, so that a busy machine makes no difference.
// $1 is the cache, if any, and $2 the least time of a build. A project may contain
// a file that makes every build of it slow.
const pace = `
if [ -e seconds ]; then sleep $(cat seconds)
elif [ -n "$1" ] && [ ! -e "$1/all" ]; then sleep 5; touch "$1/all"; fi
sleep $2
exec make OUT=build
`

// newPacedFarm starts a farm of a slow agent and two agents that build a project
// faster the second time, one of which breaks later.
func newPacedFarm(t *testing.T) *farm {
	t.Helper()
	f := newFarm(t, "slow", "broken", "warm")
	for i, args := range []string{`"", "6"]`, `"{cache}", "0"]` + "\ncache = true", `"{cache}", "0"]` + "\ncache = true"} {
		name := []string{"slow", "broken", "warm"}[i]
		f.agents[i].Stop(t, os.Kill)
		dir := f.recipes("recipes-of-"+name, "[\"sh\", \"-c\", '''"+pace+"''', \"sh\", "+args)
		f.agents[i] = start(t, "proxy-agent", "run", "--url", f.url, "--state-dir", f.path(name), "--name", name, "--recipes", dir, "--jobs", "1")
		f.agents[i].WaitFor(t, "enrolled")
	}
	return f
}

// took is the result of one build.
type took struct {
	agent  string // the agent that built, or should have built
	ok     bool
	ranked []api.Explained
}

// build builds a project once.
func (f *farm) build(dir string, args ...string) took {
	f.t.Helper()
	r := f.client(f.t.Context(), append([]string{"build", "--json", "--explain", dir}, args...)...)
	var connected struct{ Agent struct{ Name string } }
	r.event(f.t, "connected", &connected)
	var explained struct{ Candidates []api.Explained }
	r.event(f.t, "explained", &explained)
	f.t.Logf("%s built %s: exit code %d; candidates %+v", connected.Agent.Name, filepath.Base(dir), r.code, explained.Candidates)
	return took{connected.Agent.Name, r.code == 0, explained.Candidates}
}

// on builds on a certain agent.
func (f *farm) on(agent, dir string) {
	f.t.Helper()
	if b := f.build(dir, "--agent", agent); b.agent != agent || !b.ok {
		f.t.Fatalf("%s built the job for %s; success: %v", b.agent, agent, b.ok)
	}
}

// of returns the agent's score.
func (b took) of(t *testing.T, agent string) api.Explained {
	t.Helper()
	i := slices.IndexFunc(b.ranked, func(e api.Explained) bool { return e.Name == agent })
	if i < 0 {
		t.Fatalf("%s is not among the candidates %+v", agent, b.ranked)
	}
	return b.ranked[i]
}

// TestSlowBrokenAndWarm has three agents: one that is slow, and two that keep a
// cache for the next build of a project. One of these two loses its disk, after
// which every job fails at once. It is the hardest for the scheduler to avoid: it
// is idle, and its history is as good as the best.
func TestSlowBrokenAndWarm(t *testing.T) {
	f := newPacedFarm(t)
	long := f.project("long", map[string]func(string) string{"seconds": func(string) string { return "16" }})
	hello, other := f.project("hello", nil), f.project("other", nil)
	var beside sync.WaitGroup
	var first result
	beside.Go(func() { first = f.client(t.Context(), "build", long, "--agent", "warm") })
	for _, agent := range []string{"slow", "broken", "slow", "broken"} {
		f.on(agent, hello)
	}
	beside.Wait()
	first.want(t, 0)
	f.on("warm", hello)
	f.on("warm", hello)

	// A project goes to the agents that are warm for it, and does not attract
	// another project that is warm nowhere.
	b := f.build(hello)
	slow, warm, broken := b.of(t, "slow"), b.of(t, "warm"), b.of(t, "broken")
	if warm.Warmth > 0.8 || broken.Warmth > 0.8 || slow.Warmth != 1 || warm.Duration/warm.Luck > slow.Duration/slow.Luck/2 {
		t.Errorf("candidates of a project that is warm on two agents: %+v", b.ranked)
	}
	for _, e := range f.build(other).ranked {
		if e.Warmth != 1 {
			t.Errorf("%s counts as warm for a project that no agent has built: %v", e.Name, e.Warmth)
		}
	}

	// The slow agent gets jobs while the others are busy; excluding one of them has
	// the same effect.
	nobodyBusy := func() bool { return f.metric("farforge_broker_reservations") == 0 }
	eventually(t, "no agent is busy", nobodyBusy)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	beside.Go(func() { f.client(ctx, "build", "--json", long, "--agent", "warm") })
	eventually(t, "the warm agent is busy", func() bool { return !nobodyBusy() })
	if b := f.build(hello, "--exclude-agent", "broken"); b.agent != "slow" || !b.ok {
		t.Errorf("with the warm agent busy, %s built", b.agent)
	}
	cancel()
	beside.Wait()
	eventually(t, "no agent is busy", nobodyBusy)

	if err := os.RemoveAll(f.path("broken/workspaces")); err != nil {
		t.Fatal(err)
	}
	got, lately := map[string]int{b.agent: 1}, map[string]int{}
	for i := range 16 {
		b := f.build(hello)
		if b.ok == (b.agent == "broken") {
			t.Errorf("%s built; success: %v", b.agent, b.ok)
		}
		if got[b.agent]++; i >= 8 {
			lately[b.agent]++
		}
	}
	// Two failures make the broker consider an agent broken; it then sends rare
	// trials. In one of a thousand runs with the scheduler alone, on machines up to
	// ten times as slow, the counts exceed 5, 2 and 2.
	if got["broken"] > 6 || lately["broken"] > 3 || got["slow"] > 3 {
		t.Errorf("jobs by agent: %v of 17, %v of the last 8", got, lately)
	}

	// A reproduction neither uses nor changes a cache.
	before := f.kept("warm")
	f.client(t.Context(), "build", hello, "--reproduce", hello, "--same-agent", "--agent", "warm").want(t, 0, "reproduced by warm")
	if after := f.kept("warm"); len(before) == 0 || !slices.Equal(before, after) {
		t.Errorf("the warm agent kept %q, and after a reproduction %q", before, after)
	}
}

// kept lists the caches that the agent keeps.
func (f *farm) kept(agent string) []string {
	f.t.Helper()
	folders, err := filepath.Glob(f.path(agent + "/workspaces/cache-*"))
	if err != nil {
		f.t.Fatal(err)
	}
	return folders
}
