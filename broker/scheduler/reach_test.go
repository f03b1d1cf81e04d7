package scheduler

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/nat"
)

func behind(kind string) func(*directory.Agent) {
	return func(a *directory.Agent) { a.Status.NAT = kind }
}

// TestDirectAgentsComeFirst has a client behind a symmetric NAT: it connects to an
// open agent directly, and to a symmetric one through a relay only.
func TestDirectAgentsComeFirst(t *testing.T) {
	n := Need{Capacity: capacity.Capacity{Cores: 1, MemoryMB: 1}, NAT: nat.Parse("port/port")}
	far := with(agent("far"), behind("port/port"))
	open := with(agent("open"), behind("open"))
	unknown := agent("unknown")
	for seed := range uint64(200) {
		ranked := farmOf(far, open).Choose(n, options(seed))
		if len(ranked) != 2 || ranked[0].Name != "open" || ranked[0].Relay || !ranked[1].Relay {
			t.Fatalf("seed %d: %+v", seed, ranked)
		}
		if got := farmOf(far, unknown).Choose(n, options(seed)); got[0].Name != "unknown" {
			t.Fatalf("seed %d: an unknown NAT is assumed reachable, got %+v", seed, got)
		}
	}
	// A relay now is better than a long wait, and than no agent.
	f := farmOf(far, open)
	if !f.dir.Reserve(open.Fingerprint, directory.Reservation{Job: "J", Need: capacity.Capacity{Cores: 8, MemoryMB: 1}, Since: now, Done: now.Add(30 * time.Minute), Until: now.Add(time.Hour)}) {
		t.Fatal("the open agent cannot be reserved")
	}
	if got := f.Choose(n, options(1)); got[0].Name != "far" {
		t.Errorf("the open one is busy: %+v", got)
	}
	if got := farmOf(far).Choose(n, options(1)); len(got) != 1 || !got[0].Relay {
		t.Errorf("alone: %+v", got)
	}
	// For a client of unknown NAT no agent is marked as one that needs a relay.
	if got := farmOf(far, open).Choose(small, options(1)); slices.ContainsFunc(got, func(r Ranked) bool { return r.Relay }) {
		t.Errorf("a client of unknown NAT: %+v", got)
	}
}

// TestDirectAgentIsFoundAmongMany hides it among more agents than a choice scores.
func TestDirectAgentIsFoundAmongMany(t *testing.T) {
	n := Need{Capacity: capacity.Capacity{Cores: 1, MemoryMB: 1}, NAT: nat.Parse("port/port")}
	var f []directory.Agent
	for i := range 300 {
		f = append(f, with(agent(fmt.Sprint(i)), behind("address/port")))
	}
	f = append(f, with(agent("open"), behind("open")))
	for seed := range uint64(50) {
		got := farmOf(f...).Choose(n, options(seed))
		if len(got) != 4 || got[0].Name != "open" {
			t.Fatalf("seed %d: %+v", seed, got)
		}
	}
}

func vanished(a *directory.Agent) { a.Parked, a.Vanished = false, true }

// TestVanishedAgentsAreNotChosen: if the only able agent has vanished, the error says
// that it may come back.
func TestVanishedAgentsAreNotChosen(t *testing.T) {
	gone, other := with(buildsIDF("gone"), vanished), agent("other", "esp32 arduino 3.0")
	if got := farmOf(gone, buildsIDF("here")).Choose(idf, options(1)); len(got) != 1 || got[0].Name != "here" {
		t.Errorf("chosen: %+v", got)
	}
	for name, tt := range map[string]struct {
		fleet  fleet
		code   api.Code
		detail string
	}{
		"alone":            {fleet{gone}, api.CodeNoAgent, "the only agent that is able to build this has just lost its connection"},
		"the only able":    {fleet{other, gone}, api.CodeNoAgent, "the only agent that is able to build this"},
		"two":              {fleet{gone, gone}, api.CodeNoAgent, "each of the 2 agents"},
		"it is not able":   {fleet{other, with(other, vanished)}, api.CodeNoTarget, "no agent can build for esp32c3"},
		"a long while ago": {fleet{with(gone, lost)}, api.CodeNoAgent, "no agent is online"},
	} {
		if got := farmOf(tt.fleet...).Choose(idf, options(1)); len(got) > 0 {
			t.Errorf("%s: %s was chosen", name, got[0].Name)
		}
		u := Explain(tt.fleet, idf, options(1))
		if u.Code != tt.code || !strings.HasPrefix(u.Detail, tt.detail) || (u.Code == api.CodeNoAgent) != (u.RetryAfter == retrySoon) {
			t.Errorf("%s: %+v", name, u)
		}
	}
}
