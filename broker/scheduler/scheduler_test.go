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

func TestUnmetNeedsAreNamed(t *testing.T) {
	idf := []string{"esp32 esp-idf 5.3.1", "esp32c3 esp-idf 5.3.1"}
	two := fleet{agent("a", idf...), agent("b", idf...)}
	many := agent("m")
	for i := range 20 {
		many.Status.Capabilities = append(many.Status.Capabilities, api.Capability{Target: fmt.Sprintf("t%02d", i), Toolchain: "gcc", Version: "1\x1b[2J"})
	}
	for _, tt := range []struct {
		name   string
		f      fleet
		n      Need
		code   api.Code
		detail string
		hints  []string
	}{
		{"one that came since the choice", two, Need{Target: "esp32"}, api.CodeNoAgent, "an agent that can build this has come online just now",
			[]string{"try again"}},
		{"no agents", nil, small, api.CodeNoAgent, "no agent is online",
			[]string{"start a proxy-agent whose key is in the broker's list of agents; one that runs already comes back within seconds"}},
		{"all lost", fleet{with(agent("a"), lost), with(agent("b"), neverPolled)}, small, api.CodeNoAgent, "no agent is online",
			[]string{"start a proxy-agent whose key is in the broker's list of agents; one that runs already comes back within seconds"}},
		{"draining", fleet{with(agent("a"), drains)}, small, api.CodeNoAgent, "1 agent is online, but shutting down", nil},
		{"pinned", two, Need{Agents: []string{"c"}}, api.CodeNoAgent, "the agent c is not online",
			[]string{"2 agents are online; name no agent to accept any"}},
		{"all pinned", two, Need{Agents: []string{"c", "d"}}, api.CodeNoAgent, "none of the agents c, d is online",
			[]string{"2 agents are online; name no agent to accept any"}},
		{"excluded", two, Need{Exclude: []string{"a", "SHA256:b"}}, api.CodeNoAgent, "the request excludes every agent that is able",
			[]string{"2 agents are online; exclude fewer than a, SHA256:b"}},
		{"pinned but one, which is excluded", two, Need{Agents: []string{"a"}, Exclude: []string{"a"}}, api.CodeNoAgent, "the request excludes every agent that is able",
			[]string{"2 agents are online; exclude fewer than a"}},
		{"no sealing key", two, Need{Sealed: true}, api.CodeNoAgent, "this broker passes on only sealed offers, and no agent here can open them",
			[]string{"2 agents are online, without sealing keys; update proxy-agent"}},
		{"target", two, Need{Target: "esp32s3", Toolchain: need("esp-idf@5.4")}, api.CodeNoTarget, "no agent can build for esp32s3 with esp-idf 5.4",
			[]string{"2 agents are online; they offer esp-idf 5.3.1 (esp32, esp32c3)"}},
		{"version", two, Need{Target: "esp32c3", Toolchain: need("esp-idf@5.4")}, api.CodeNoToolchain, "no agent can build for esp32c3 with esp-idf 5.4",
			[]string{"2 agents are online; they offer esp-idf 5.3.1 (esp32, esp32c3)", "leave the version out to accept 5.3.1:  client build --toolchain esp-idf"}},
		{"toolchain", two[:1], Need{Target: "esp32c3", Toolchain: need("gcc")}, api.CodeNoToolchain, "no agent can build for esp32c3 with gcc",
			[]string{"1 agent is online; it offers esp-idf 5.3.1 (esp32, esp32c3)"}},
		{"kind", fleet{with(agent("a"), withRecipes(api.Recipe{Name: "p", Kind: "platformio"}, api.Recipe{Name: "a", Kind: "arduino"})), with(agent("b"), withRecipes())},
			Need{Kind: "esp-idf", Target: "esp32"}, api.CodeNoRecipe, "this is an esp-idf project, and no agent has a recipe for it",
			[]string{"2 agents are online; their recipes are for arduino, platformio"}},
		{"kind, and no recipes at all", fleet{with(agent("a"), withRecipes())},
			Need{Kind: "platformio"}, api.CodeNoRecipe, "this is a platformio project, and no agent has a recipe for it",
			[]string{"1 agent is online; none has a recipe for a known kind of project"}},
		{"kind for another target", fleet{with(agent("a", idf...), withRecipes(api.Recipe{Name: "i", Kind: "esp-idf", Targets: []string{"esp32"}})), with(agent("b"), withRecipes())},
			Need{Kind: "esp-idf", Target: "esp32c3"}, api.CodeNoTarget, "no agent can build for esp32c3",
			[]string{"2 agents are online; they offer esp-idf 5.3.1 (esp32, esp32c3)"}},
		{"no tag", two, Need{Tags: []string{"eu"}}, api.CodeNoTag, "no agent that could build this has the tag eu",
			[]string{"none of them has any tag; ask for none to accept them"}},
		{"another tag", fleet{two[0], with(two[1], tagged("us", "gpu"))}, Need{Tags: []string{"eu", "gpu"}}, api.CodeNoTag, "no agent that could build this has all of the tags eu, gpu",
			[]string{"their tags are gpu, us"}},
		{"size", two, Need{Capacity: capacity.Capacity{Cores: 64, MemoryMB: 100}}, api.CodeNoCapacity, "no agent that could build this has 64 cores and 100 MiB of memory",
			[]string{"ask for less; there are agents of 8 cores with 8192 MiB"}},
		{"only a target that its operator does not allow", fleet{with(agent("a", idf...), limited)}, Need{Target: "esp32"}, api.CodeNoTarget, "no agent can build for esp32",
			[]string{"1 agent is online; it offers esp-idf 5.3.1 (esp32c3)"}},
		{"no target where agents are limited", fleet{with(agent("a", idf...), limited)}, small, api.CodeNoTarget, "no agent can build what names no target",
			[]string{"1 agent is online; it offers esp-idf 5.3.1 (esp32c3)"}},
		{"only a toolchain where agents are limited", fleet{with(agent("a", idf...), limited)}, Need{Toolchain: need("esp-idf")}, api.CodeNoTarget, "no agent can build with esp-idf",
			[]string{"1 agent is online; it offers esp-idf 5.3.1 (esp32c3)"}},
		{"no toolchains at all", fleet{agent("a")}, Need{Target: "esp32"}, api.CodeNoTarget, "no agent can build for esp32",
			[]string{"1 agent is online; none offers any toolchain"}},
		{"long and hostile lists", fleet{many}, Need{Target: "x"}, api.CodeNoTarget, "no agent can build for x",
			[]string{"1 agent is online; it offers gcc 1[2J (t00, t01, t02, t03, t04, t05, t06, t07 and 12 more)"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := Explain(tt.f, tt.n, options(0))
			if got, _ := Choose(tt.f, tt.n, options(0)); got != nil && tt.name != "one that came since the choice" {
				t.Fatalf("candidates %v, unmet %v", got, u)
			}
			if u.Code != tt.code || u.Detail != tt.detail || !reflect.DeepEqual(u.Hints, tt.hints) || u.RetryAfter <= 0 {
				t.Errorf("%+v", u)
			}
		})
	}
}
