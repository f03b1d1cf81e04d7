package scheduler

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/toolchain"
)

// need parses a toolchain requirement.
func need(s string) toolchain.Requirement {
	r, err := toolchain.Parse(s)
	if err != nil {
		panic(err)
	}
	return r
}

var idf = Need{Target: "esp32c3", Toolchain: need("esp-idf"), Capacity: capacity.Capacity{Cores: 2, MemoryMB: 512}, Project: "p"}

func buildsIDF(name string) directory.Agent { return agent(name, "esp32c3 esp-idf 5.3.1") }

func (f *testFarm) built(name string, seconds float64, n int) {
	for range n {
		f.Learn(Result{Agent: "SHA256:" + name, Target: idf.Target, Toolchain: idf.Toolchain.Name, Project: f.ProjectKey(idf.Project),
			Verdict: Built, Took: time.Duration(seconds * float64(time.Second)), At: now})
	}
}

func (f *testFarm) failed(name string, n int, at time.Time) {
	for range n {
		f.Learn(Result{Agent: "SHA256:" + name, Target: idf.Target, Toolchain: idf.Toolchain.Name, Verdict: Failed, Took: time.Second, At: at})
	}
}

// firsts counts how often each agent is first in 200 choices.
func (f *testFarm) firsts(n Need, at time.Time) map[string]int {
	first := map[string]int{}
	for seed := range uint64(200) {
		if got := f.Choose(n, Options{Now: at, Grace: time.Hour, Max: 4, Seed: seed}); len(got) > 0 {
			first[got[0].Name]++
		}
	}
	return first
}

func TestFarmPrefersTheFast(t *testing.T) {
	f := farmOf(buildsIDF("slow"), buildsIDF("fast"), buildsIDF("average"))
	for range 10 {
		f.built("slow", 100, 1)
		f.built("average", 50, 1)
		f.built("fast", 25, 1)
	}
	if got := f.firsts(idf, now); got["fast"] < 195 {
		t.Errorf("first of 200: %v", got)
	}
	got := f.Choose(idf, options(1))
	if len(got) != 3 || got[0].Name != "fast" || got[2].Name != "slow" {
		t.Fatalf("%+v", got)
	}
	for i, want := range []float64{25, 50, 100} {
		if s := got[i].Score; s.Duration < want*0.7 || s.Duration > want*1.4 || s.Wait != 0 || s.Success < 0.85 {
			t.Errorf("%s: %+v", got[i].Name, s)
		}
	}
	// After a day without results the estimates are less certain, and others get a
	// chance.
	later := now.Add(24 * time.Hour)
	if got := f.firsts(idf, later); got["fast"] > 160 {
		t.Errorf("first of 200 after a day: %v", got)
	}
}

func TestFarmPrefersTheWarm(t *testing.T) {
	f := farmOf(buildsIDF("a"), buildsIDF("b"), buildsIDF("c"))
	// All agents are alike; the second build of a project takes a third of the time.
	for p := range 40 {
		for _, name := range []string{"a", "b", "c"} {
			for _, seconds := range []float64{60, 20, 20} {
				f.Learn(Result{Agent: "SHA256:" + name, Target: idf.Target, Toolchain: idf.Toolchain.Name, Project: f.ProjectKey(fmt.Sprint("other", p)),
					Verdict: Built, Took: time.Duration(seconds * float64(time.Second)), At: now})
			}
		}
	}
	f.built("b", 60, 1)
	if got := f.firsts(idf, now); got["b"] < 190 {
		t.Errorf("first of 200: %v", got)
	}
	got := f.Choose(idf, options(1))
	if w := got[0].Warmth; got[0].Name != "b" || w < 0.25 || w > 0.45 || got[1].Warmth != 1 {
		t.Errorf("%+v", got)
	}
	// The list of an agent counts more than its past builds.
	b := buildsIDF("b")
	b.Status.Warm = []string{}
	f.set(b, now)
	c := buildsIDF("c")
	c.Status.Warm = []string{idf.Project}
	f.set(c, now)
	if got := f.firsts(idf, now); got["c"] < 190 {
		t.Errorf("first of 200, with a workspace that the agent lists: %v", got)
	}
}

// TestFirstBuildIsNotAWarmOne: when a result arrives, the agent already lists the
// project as warm, because the job itself has made it so.
func TestFirstBuildIsNotAWarmOne(t *testing.T) {
	a, b := buildsIDF("a"), buildsIDF("b")
	f := farmOf(a, b)
	for p := range 20 {
		n := idf
		n.Project = fmt.Sprint("p", p)
		for i, seconds := range []float64{60, 10, 10} {
			warmth := f.Warmth(a.Fingerprint, n)
			if want := []Warmth{Cold, Warm, Warm}[i]; warmth != want {
				t.Fatalf("before build %d of %s its warmth is %v, want %v", i, n.Project, warmth, want)
			}
			status := *a.Status
			status.Warm = []string{n.Project}
			a.Status = &status
			f.set(a, now)
			f.Learn(Result{Agent: a.Fingerprint, Target: n.Target, Toolchain: n.Toolchain.Name, Project: f.ProjectKey(n.Project),
				Verdict: Built, Warmth: warmth, Took: time.Duration(seconds * float64(time.Second)), At: now})
		}
	}
	last := idf
	last.Project = "p19"
	got := f.Choose(last, options(1))
	if got[0].Name != "a" || got[0].Score.Warmth > 0.3 || got[1].Score.Warmth != 1 {
		t.Errorf("warm builds take a sixth; learned: %+v", got)
	}
	if w := f.Warmth("SHA256:nobody", last); w != Unknown {
		t.Errorf("an unknown agent has warmth %v", w)
	}
	if last.Project = ""; f.Warmth(a.Fingerprint, last) != Unknown {
		t.Error("no project is warm")
	}
}

func TestBrokenAgentsRestAndAreTriedAgain(t *testing.T) {
	f := farmOf(buildsIDF("good"), buildsIDF("best"))
	for range 30 {
		f.built("good", 60, 1)
		f.built("best", 20, 1)
	}
	f.failed("best", 1, now)
	if got := f.firsts(idf, now); got["best"] == 0 {
		t.Errorf("a good agent is not chosen after one failure: %v", got)
	}
	f.failed("best", 3, now)
	if got := f.firsts(idf, now.Add(time.Second)); got["best"] != 0 {
		t.Errorf("after four failures in a row: %v", got)
	}
	later := now.Add(maxRest*time.Second + 1)
	if got := f.firsts(idf, later); got["best"] < 195 {
		t.Errorf("after its rest: %v", got)
	}
	// Only one trial runs at a time.
	if !f.dir.Reserve("SHA256:best", directory.Reservation{Job: "trial", Need: capacity.Capacity{Cores: 1, MemoryMB: 1}, Since: later, Until: later.Add(time.Hour), Done: later.Add(time.Minute)}) {
		t.Fatal("no room for the trial")
	}
	if got := f.firsts(idf, later); got["best"] != 0 {
		t.Errorf("during its trial: %v", got)
	}
	f.dir.Release("SHA256:best", "trial", later)
	f.built("best", 20, 3)
	if got := f.firsts(idf, later); got["best"] < 195 {
		t.Errorf("after three good builds: %v", got)
	}
}

// TestIdleFarmExplores: the draws are as wide as the share of agents with room, and
// nothing is drawn for agents without room.
func TestIdleFarmExplores(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	for _, taken := range []int{0, 1, 3} {
		f := newTestFarm()
		for i, name := range names {
			a := buildsIDF(name)
			if i < taken {
				a = with(with(a, busy), free(0))
			}
			f.list(a)
			f.set(a, now)
		}
		sum, n := 0.0, 0.0
		for seed := range uint64(2000) {
			for _, r := range f.Choose(idf, Options{Now: now, Grace: time.Hour, Max: 4, Seed: seed}) {
				if slices.Contains(names[:taken], r.Name) {
					if r.Wait == 0 || r.Luck != 1 {
						t.Fatalf("%d of 4 are taken, but %s: %+v", taken, r.Name, r.Score)
					}
				} else {
					z := math.Log(r.Luck) / r.Doubt
					sum, n = sum+z*z, n+1
				}
			}
		}
		want := float64(4-taken) / 4
		if got := math.Sqrt(sum / n); math.Abs(got-want) > 0.05 {
			t.Errorf("%d of 4 are taken: draws are %.2f of the posterior's width, want %.2f", taken, got, want)
		}
	}
}

func TestFarmWeighsWaitingAgainstSpeed(t *testing.T) {
	full := func(name string, f *testFarm, left time.Duration) {
		a := with(buildsIDF(name), busy)
		f.set(a, now)
		if !f.dir.Reserve("SHA256:"+name, directory.Reservation{Job: "x", Need: capacity.Capacity{Cores: 8, MemoryMB: 1}, Since: now.Add(-time.Second), Until: now.Add(time.Hour), Done: now.Add(left)}) {
			t.Fatal("no room")
		}
	}
	for _, tt := range []struct {
		left time.Duration
		want string
	}{{5 * time.Second, "fast"}, {10 * time.Minute, "slow"}} {
		f := farmOf(buildsIDF("slow"), buildsIDF("fast"))
		for range 20 {
			f.built("slow", 100, 1)
			f.built("fast", 25, 1)
		}
		full("fast", f, tt.left)
		if got := f.firsts(idf, now); got[tt.want] < 190 {
			t.Errorf("the fast one is free in %v: %v", tt.left, got)
		}
		got := f.Choose(idf, options(1))
		if tt.want == "fast" && (len(got) != 1 || got[0].Wait < 4 || got[0].Wait > 6) {
			t.Errorf("a slow agent is among the candidates, or the wait is wrong: %+v", got)
		}
	}
}

func TestFarmMeetsNeeds(t *testing.T) {
	f := farmOf(
		buildsIDF("a"), agent("gcc", "esp32c3 gcc 1"), with(buildsIDF("drains"), drains), with(buildsIDF("lost"), lost),
		with(buildsIDF("small"), func(a *directory.Agent) { a.Status.TotalCores, a.Status.FreeCores = 1, 1 }),
	)
	for _, tt := range []struct {
		change func(*Need)
		want   string
	}{
		{func(*Need) {}, "a"},
		{func(n *Need) { n.Toolchain = need("gcc") }, "gcc"},
		{func(n *Need) { n.Target = "esp32s3" }, ""},
		{func(n *Need) { n.Toolchain = need("esp-idf@~5.4") }, ""},
		{func(n *Need) { n.Agents = []string{"SHA256:a", "drains"} }, "a"},
		{func(n *Need) { n.Exclude = []string{"a"} }, ""},
		{func(n *Need) { n.Cores, n.Agents = 1, []string{"small"} }, "small"},
	} {
		n := idf
		tt.change(&n)
		var c []api.Candidate
		for _, r := range f.Choose(n, options(1)) {
			c = append(c, r.Candidate)
		}
		if names(c) != tt.want {
			t.Errorf("%+v: %q, want %q", n, names(c), tt.want)
		}
	}
	f.unlist("SHA256:a")
	if got := f.Choose(idf, options(1)); len(got) != 0 {
		t.Errorf("chose an agent that is not listed any more: %+v", got)
	}
}

func TestSameSeedSameChoice(t *testing.T) {
	f, _ := largeFarm(500)
	for seed := range uint64(20) {
		a, b := f.Choose(idf, options(seed)), f.Choose(idf, options(seed))
		if !slices.Equal(a, b) {
			t.Fatalf("seed %d: %v and %v", seed, a, b)
		}
	}
}

// TestConcurrentClaimsNeverOversell claims the same agents from many goroutines.
func TestConcurrentClaimsNeverOversell(t *testing.T) {
	f := farmOf(buildsIDF("a"), buildsIDF("b"))
	var wg sync.WaitGroup
	var mu sync.Mutex
	used := map[string]int{}
	for g := range 8 {
		rnd := rand.New(rand.NewPCG(uint64(g), 0))
		wg.Go(func() {
			for i := range 500 {
				id, job, cores := "SHA256:"+string("ab"[rnd.IntN(2)]), fmt.Sprint(g, i), 1+rnd.IntN(5)
				f.Choose(idf, options(uint64(i)))
				if !f.dir.Reserve(id, directory.Reservation{Job: job, Need: capacity.Capacity{Cores: cores, MemoryMB: 1}, Since: now, Until: now.Add(time.Hour)}) {
					continue
				}
				mu.Lock()
				used[id] += cores
				if used[id] > 8 {
					t.Errorf("%s: %d cores promised of 8", id, used[id])
				}
				mu.Unlock()
				if rnd.IntN(3) == 0 {
					f.Learn(Result{Agent: id, Verdict: Failed, At: now})
				}
				mu.Lock()
				used[id] -= cores
				mu.Unlock()
				f.dir.Release(id, job, now)
			}
		})
	}
	wg.Wait()
	for _, id := range []string{"SHA256:a", "SHA256:b"} {
		if c := f.dir.Free(id, now); c != (capacity.Capacity{Cores: 8, MemoryMB: 8192}) {
			t.Errorf("%s: %+v free at the end", id, c)
		}
	}
}
