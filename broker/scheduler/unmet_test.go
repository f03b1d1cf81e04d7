package scheduler

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
)

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
			[]string{"start a proxy-agent whose key is in the broker's list of agents; a running one reconnects within seconds"}},
		{"all lost", fleet{with(agent("a"), lost), with(agent("b"), neverPolled)}, small, api.CodeNoAgent, "no agent is online",
			[]string{"start a proxy-agent whose key is in the broker's list of agents; a running one reconnects within seconds"}},
		{"draining", fleet{with(agent("a"), drains)}, small, api.CodeNoAgent, "1 agent is online, but shutting down", nil},
		{"pinned", two, Need{Agents: []string{"c"}}, api.CodeNoAgent, "the agent c is not online",
			[]string{"2 agents are online; name no agent to accept any"}},
		{"all pinned", two, Need{Agents: []string{"c", "d"}}, api.CodeNoAgent, "none of the agents c, d is online",
			[]string{"2 agents are online; name no agent to accept any"}},
		{"excluded", two, Need{Exclude: []string{"a", "SHA256:b"}}, api.CodeNoAgent, "the request excludes every agent that is able",
			[]string{"2 agents are online; exclude fewer than a, SHA256:b"}},
		{"pinned but one, which is excluded", two, Need{Agents: []string{"a"}, Exclude: []string{"a"}}, api.CodeNoAgent, "the request excludes every agent that is able",
			[]string{"2 agents are online; exclude fewer than a"}},
		{"no sealing key", two, Need{Sealed: true}, api.CodeNoAgent, "this broker accepts only sealed offers, and no agent here can open them",
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
			[]string{"none of them has any tag; request no tag to accept them"}},
		{"another tag", fleet{two[0], with(two[1], tagged("us", "gpu"))}, Need{Tags: []string{"eu", "gpu"}}, api.CodeNoTag, "no agent that could build this has all of the tags eu, gpu",
			[]string{"their tags are gpu, us"}},
		{"size", two, Need{Capacity: capacity.Capacity{Cores: 64, MemoryMB: 100}}, api.CodeNoCapacity, "no agent that could build this has 64 cores and 100 MiB of memory",
			[]string{"ask for less; there are agents of 8 cores with 8192 MiB"}},
		{"only a target that its operator does not allow", fleet{with(agent("a", idf...), limited)}, Need{Target: "esp32"}, api.CodeNoTarget, "no agent can build for esp32",
			[]string{"1 agent is online; it offers esp-idf 5.3.1 (esp32c3)"}},
		{"no target where agents are limited", fleet{with(agent("a", idf...), limited)}, small, api.CodeNoTarget, "no agent can build without a target",
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
