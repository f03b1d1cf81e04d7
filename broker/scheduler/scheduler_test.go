package scheduler

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
)

type fleet []directory.Agent

// Choose does what the broker does: it returns the best agents, or why there is none.
func Choose(f fleet, n Need, o Options) ([]api.Candidate, *Unmet) {
	ranked := farmOf(f...).Choose(n, o)
	if len(ranked) == 0 {
		return nil, Explain(f, n, o)
	}
	var c []api.Candidate
	for _, r := range ranked {
		c = append(c, r.Candidate)
	}
	return c, nil
}

func (f fleet) Len() int                 { return len(f) }
func (f fleet) At(i int) directory.Agent { return f[i] }

var now = time.Unix(1_000_000, 0)

// agent describes a parked agent with 8 cores and 8192 MiB, all free, and the given
// capabilities, each "target toolchain version".
func agent(name string, caps ...string) directory.Agent {
	s := &api.Status{TotalCores: 8, FreeCores: 8, TotalMemMB: 8192, FreeMemMB: 8192}
	for _, c := range caps {
		f := strings.Fields(c)
		s.Capabilities = append(s.Capabilities, api.Capability{Target: f[0], Toolchain: f[1], Version: f[2]})
	}
	return directory.Agent{Fingerprint: "SHA256:" + name, Name: name, Status: s, LastSeen: now, Parked: true}
}

func with(a directory.Agent, f func(a *directory.Agent)) directory.Agent {
	f(&a)
	return a
}

func free(cores int) func(*directory.Agent) {
	return func(a *directory.Agent) { a.Status.FreeCores = cores }
}

func busy(a *directory.Agent)        { a.Parked = false }
func drains(a *directory.Agent)      { a.Status.Draining = true }
func lost(a *directory.Agent)        { a.Parked, a.LastSeen = false, now.Add(-time.Hour) }
func neverPolled(a *directory.Agent) { a.Parked, a.Status = false, nil }

func limited(a *directory.Agent) { a.Targets = []string{"esp32c3"} }

var small = Need{Capacity: capacity.Capacity{Cores: 1, MemoryMB: 1}}

func options(seed uint64) Options {
	return Options{Now: now, Grace: 20 * time.Second, Max: 4, Seed: seed}
}

func names(c []api.Candidate) string {
	var s []string
	for _, x := range c {
		s = append(s, x.Name)
	}
	return strings.Join(s, " ")
}

func TestEqualAgentsShareTheWork(t *testing.T) {
	f := make(fleet, 100)
	for i := range f {
		f[i] = agent(fmt.Sprint(i))
	}
	first := map[string]int{}
	for seed := range uint64(5000) {
		got, _ := Choose(f, small, options(seed))
		if len(got) != 4 {
			t.Fatalf("%d candidates", len(got))
		}
		first[got[0].Name]++
	}
	for _, a := range f {
		if n := first[a.Name]; n < 15 || n > 120 {
			t.Errorf("agent %s was first %d times of 5000; 50 would be even", a.Name, n)
		}
	}
}

func TestPins(t *testing.T) {
	f := make(fleet, 500)
	for i := range f {
		f[i] = agent(fmt.Sprint("agent", i))
	}
	n := small
	n.Agents = []string{"agent7", "SHA256:agent400"}
	got, unmet := Choose(f, n, options(3))
	if unmet != nil || len(got) != 2 || !strings.Contains(names(got), "agent7") || !strings.Contains(names(got), "agent400") {
		t.Errorf("%s, %v", names(got), unmet)
	}
}

func TestExcludedAgentsAreNotChosen(t *testing.T) {
	f := fleet{agent("a"), agent("b"), agent("c")}
	for _, tt := range []struct {
		n    Need
		want string
	}{
		{Need{Exclude: []string{"a", "SHA256:b", "stranger"}}, "c"},
		{Need{Agents: []string{"a", "b"}, Exclude: []string{"SHA256:a"}}, "b"},
	} {
		if got, unmet := Choose(f, tt.n, options(1)); unmet != nil || names(got) != tt.want {
			t.Errorf("%+v: %s, %v; want %s", tt.n, names(got), unmet, tt.want)
		}
	}
}

func tagged(tags ...string) func(*directory.Agent) {
	return func(a *directory.Agent) { a.Tags = tags }
}

func TestTags(t *testing.T) {
	f := fleet{agent("none"), with(agent("eu"), tagged("eu")), with(agent("both"), tagged("gpu", "eu"))}
	for _, tt := range []struct {
		tags []string
		want []string
	}{
		{nil, []string{"both", "eu", "none"}},
		{[]string{"eu"}, []string{"both", "eu"}},
		{[]string{"eu", "gpu"}, []string{"both"}},
	} {
		got, unmet := Choose(f, Need{Tags: tt.tags}, options(1))
		if unmet != nil {
			t.Fatalf("%v: %+v", tt.tags, unmet)
		}
		var chosen []string
		for _, c := range got {
			chosen = append(chosen, c.Name)
		}
		if slices.Sort(chosen); !slices.Equal(chosen, tt.want) {
			t.Errorf("%v: %v, want %v", tt.tags, chosen, tt.want)
		}
	}
}

func withRecipes(all ...api.Recipe) func(*directory.Agent) {
	return func(a *directory.Agent) { a.Status.Recipes = append([]api.Recipe{}, all...) }
}

func TestJobsGoToAgentsThatRecognizeTheProject(t *testing.T) {
	f := fleet{
		with(agent("idf", "esp32 esp-idf 5.3.1", "esp32c3 esp-idf 5.3.1"), withRecipes(api.Recipe{Name: "esp-idf", Kind: "esp-idf", Targets: []string{"esp32"}, Toolchains: []string{"esp-idf@5.3.1"}})),
		with(agent("pio", "esp32 esp-idf 5.3.1"), withRecipes(api.Recipe{Name: "pio", Kind: "platformio"})),
		with(agent("none"), withRecipes()),
		agent("old", "esp32 esp-idf 5.3.1"), // does not announce its recipes
	}
	for _, tt := range []struct {
		n    Need
		want []string
	}{
		{Need{}, []string{"idf", "none", "old", "pio"}},
		{Need{Kind: "esp-idf"}, []string{"idf", "old"}},
		{Need{Kind: "esp-idf", Target: "esp32"}, []string{"idf", "old"}},
		{Need{Kind: "platformio", Target: "esp32"}, []string{"old", "pio"}},
		{Need{Kind: "esphome"}, []string{"old"}},
		{Need{Kind: "esp-idf", Target: "esp32c3"}, nil}, // the recipe does not build for it
		{Need{Kind: "esp-idf", Target: "esp32", Toolchain: need("esp-idf@5.3")}, []string{"idf", "old"}},
		{Need{Kind: "esp-idf", Target: "esp32", Toolchain: need("esp-idf@5.4")}, nil},
	} {
		got, _ := Choose(f, tt.n, options(1))
		var chosen []string
		for _, c := range got {
			chosen = append(chosen, c.Name)
		}
		if slices.Sort(chosen); !slices.Equal(chosen, tt.want) {
			t.Errorf("%+v: %v, want %v", tt.n, chosen, tt.want)
		}
	}
}

func TestCandidatesCarryTheirKeys(t *testing.T) {
	sealing := &api.SealingKey{Recipient: "age1x", Signature: "s"}
	f := farmOf(agent("b"))
	sealed := with(agent("a"), func(a *directory.Agent) { a.PublicKey, a.Sealing = "ssh-ed25519 AAAA", sealing })
	f.Update(&sealed, now)
	var got []api.Candidate
	for _, r := range f.Choose(Need{Sealed: true}, options(1)) {
		got = append(got, r.Candidate)
	}
	want := []api.Candidate{{Fingerprint: "SHA256:a", Name: "a", PublicKey: "ssh-ed25519 AAAA", Sealing: sealing}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestToolchainVersions(t *testing.T) {
	f := fleet{agent("a", "esp32c3 esp-idf 5.3.1", "esp32 esp-idf 5.2")}
	for _, tt := range []struct {
		n    Need
		code api.Code
	}{
		{Need{Target: "esp32c3"}, ""},
		{Need{Target: "esp32c3", Toolchain: need("esp-idf")}, ""},
		{Need{Target: "esp32c3", Toolchain: need("esp-idf@5.3")}, ""},
		{Need{Toolchain: need("esp-idf@5.2")}, ""},
		{Need{Target: "esp32c3", Toolchain: need("esp-idf@5.2")}, api.CodeNoToolchain},
		{Need{Target: "esp32c3", Toolchain: need("esp-idf@~5.3.1")}, ""},
		{Need{Target: "esp32c3", Toolchain: need("esp-idf@>=5.1,<5.3")}, api.CodeNoToolchain},
		{Need{Toolchain: need("esp-idf@>=5.1,<5.3")}, ""},
		{Need{Target: "esp32c3", Toolchain: need("gcc")}, api.CodeNoToolchain},
		{Need{Target: "esp32s3", Toolchain: need("esp-idf")}, api.CodeNoTarget},
	} {
		if tt.n.Target == "esp32c3" { // a limit that allows it changes nothing
			l := fleet{with(f[0], limited)}
			if _, unmet := Choose(l, tt.n, options(0)); (unmet == nil) != (tt.code == "") {
				t.Errorf("limited, %+v: %+v, want %q", tt.n, unmet, tt.code)
			}
		}
		_, unmet := Choose(f, tt.n, options(0))
		if (unmet == nil) != (tt.code == "") || unmet != nil && unmet.Code != tt.code {
			t.Errorf("%+v: %+v, want %q", tt.n, unmet, tt.code)
		}
	}
}
