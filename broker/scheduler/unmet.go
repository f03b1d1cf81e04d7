package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/common/api"
)

// Unmet describes the need that no agent meets, in the user's terms, and what
// agents offer instead. It does not name the agents.
type Unmet struct {
	Code   api.Code // no_agent, no_recipe, no_target, no_toolchain, no_tag or no_capacity
	Detail string
	Hints  []string
	// RetryAfter is when a retry may help.
	RetryAfter time.Duration
}

// When a retry may help: agents are back within seconds of a broker's restart, but
// they seldom get a new target.
const (
	retrySoon  = time.Second
	retryLater = 30 * time.Second
)

// The longest lists in hints.
const (
	maxListed   = 8
	maxVersions = 4
)

// Explain returns why a job got no agent. It reads all agents.
func Explain(s Snapshot, n Need, o Options) *Unmet {
	var count [able + 1]int
	var online, onTarget, untagged, capable []directory.Agent
	lost := 0
	for i := range s.Len() {
		a := s.At(i)
		st := step(&a, &n, &o)
		count[st]++
		if st == offline && a.Lost(o.Now, o.Grace) {
			if a.Vanished = false; step(&a, &n, &o) == able {
				lost++
			}
		}
		if st > draining {
			online = append(online, a)
		}
		if st == wrongToolchain {
			onTarget = append(onTarget, a)
		}
		if st == wrongTag {
			untagged = append(untagged, a)
		}
		if st == tooSmall {
			capable = append(capable, a)
		}
	}
	switch {
	case count[able] > 0: // it has come online since the choice
		return &Unmet{api.CodeNoAgent, "an agent that can build this has come online just now", []string{"try again"}, retrySoon}
	case lost > 0: // whatever the others lack: it may be back at the next try
		return &Unmet{api.CodeNoAgent, fmt.Sprintf("%s to build this has just lost its connection to the broker", theAble(lost)), []string{
			"it reconnects within seconds, unless it has crashed",
		}, retrySoon}
	case len(online) == 0 && count[draining] > 0:
		return &Unmet{api.CodeNoAgent, fmt.Sprintf("%s online, but shutting down", agents(count[draining])), nil, retrySoon}
	case len(online) == 0:
		return &Unmet{api.CodeNoAgent, "no agent is online", []string{
			"start a proxy-agent whose key is in the broker's list of agents; a running one reconnects within seconds",
		}, retrySoon}
	case count[notPinned] == len(online):
		u := &Unmet{api.CodeNoAgent, "the agent " + n.Agents[0] + " is not online", []string{
			fmt.Sprintf("%s online; name no agent to accept any", agents(len(online))),
		}, retrySoon}
		if len(n.Agents) > 1 {
			u.Detail = "none of the agents " + list(n.Agents, maxListed) + " is online"
		}
		return u
	case count[notPinned]+count[excluded] == len(online):
		return &Unmet{api.CodeNoAgent, "the request excludes every agent that is able", []string{
			fmt.Sprintf("%s online; exclude fewer than %s", agents(len(online)), list(n.Exclude, maxListed)),
		}, retryLater}
	case count[notPinned]+count[excluded]+count[cannotOpen] == len(online):
		return &Unmet{api.CodeNoAgent, "this broker accepts only sealed offers, and no agent here can open them", []string{
			agents(len(online)) + " online, without sealing keys; update proxy-agent",
		}, retryLater}
	case len(capable) > 0:
		return tooLarge(capable, n)
	case len(untagged) > 0:
		return lacksTags(untagged, n)
	case len(onTarget) > 0:
		return &Unmet{api.CodeNoToolchain, cannot(n), append([]string{offers(online)}, otherVersion(onTarget, n)...), retryLater}
	case count[wrongTarget] == 0 && count[wrongKind] > 0:
		return &Unmet{api.CodeNoRecipe, fmt.Sprintf("this is %s project, and no agent has a recipe for it", article(n.Kind)),
			[]string{recipes(online)}, retryLater}
	default:
		return &Unmet{api.CodeNoTarget, cannot(n), []string{offers(online)}, retryLater}
	}
}

// article returns the kind behind "a" or "an".
func article(kind string) string {
	if strings.ContainsRune("aeiouAEIOU", rune(kind[0])) {
		return "an " + kind
	}
	return "a " + kind
}

// recipes lists the kinds of project that agents have recipes for.
func recipes(online []directory.Agent) string {
	kinds := map[string]bool{}
	for _, a := range online {
		for _, r := range a.Status.Recipes {
			if r.Kind != "" {
				kinds[printable(r.Kind)] = true
			}
		}
	}
	if len(kinds) == 0 {
		return agents(len(online)) + " online; none has a recipe for a known kind of project"
	}
	they := "; their recipes are for "
	if len(online) == 1 {
		they = "; its recipes are for "
	}
	return agents(len(online)) + " online" + they + list(slices.Sorted(maps.Keys(kinds)), maxListed)
}

func cannot(n Need) string {
	b := "no agent can build"
	if n.Target == "" && n.Toolchain.Name == "" {
		b += " without a target"
	}
	if n.Target != "" {
		b += " for " + n.Target
	}
	if n.Toolchain.Name != "" {
		b += strings.TrimRight(" with "+n.Toolchain.Name+" "+n.Toolchain.Version, " ")
	}
	return b
}

func agents(n int) string {
	if n == 1 {
		return "1 agent is"
	}
	return fmt.Sprintf("%d agents are", n)
}

func theAble(n int) string {
	if n == 1 {
		return "the only agent that is able"
	}
	return fmt.Sprintf("each of the %d agents that are able", n)
}

// offers lists toolchains with their targets, such as
// "esp-idf 5.3.1 (esp32, esp32c3)".
func offers(online []directory.Agent) string {
	targets := map[string]map[string]bool{}
	for _, a := range online {
		for _, c := range a.Status.Capabilities {
			if !a.MayBuild(c.Target) {
				continue
			}
			key := strings.TrimRight(c.Toolchain+" "+printable(c.Version), " ")
			if targets[key] == nil {
				targets[key] = map[string]bool{}
			}
			targets[key][c.Target] = true
		}
	}
	if len(targets) == 0 {
		return agents(len(online)) + " online; none offers any toolchain"
	}
	var each []string
	for _, key := range slices.Sorted(maps.Keys(targets)) {
		each = append(each, key+" ("+list(slices.Sorted(maps.Keys(targets[key])), maxListed)+")")
	}
	they := "; they offer "
	if len(online) == 1 {
		they = "; it offers "
	}
	return agents(len(online)) + " online" + they + list(each, maxListed)
}

// otherVersion returns the hint that says how to accept another version of the
// toolchain.
func otherVersion(on []directory.Agent, n Need) []string {
	versions := map[string]bool{}
	for _, a := range on {
		for _, c := range a.Status.Capabilities {
			if n.Toolchain.Version != "" && c.Toolchain == n.Toolchain.Name && (n.Target == "" || c.Target == n.Target) && printable(c.Version) != "" {
				versions[printable(c.Version)] = true
			}
		}
	}
	if len(versions) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("leave the version out to accept %s:  client build --toolchain %s",
		list(slices.Sorted(maps.Keys(versions)), maxVersions), n.Toolchain.Name)}
}

// lacksTags lists the tags that the able agents have.
func lacksTags(able []directory.Agent, n Need) *Unmet {
	has := map[string]bool{}
	for _, a := range able {
		for _, tag := range a.Tags {
			has[printable(tag)] = true
		}
	}
	what := "the tag " + n.Tags[0]
	if len(n.Tags) > 1 {
		what = "all of the tags " + strings.Join(n.Tags, ", ")
	}
	u := &Unmet{api.CodeNoTag, "no agent that could build this has " + what, nil, retryLater}
	if len(has) == 0 {
		u.Hints = []string{"none of them has any tag; request no tag to accept them"}
	} else {
		u.Hints = []string{"their tags are " + list(slices.Sorted(maps.Keys(has)), maxListed)}
	}
	return u
}

func tooLarge(capable []directory.Agent, n Need) *Unmet {
	var sizes []string
	slices.SortFunc(capable, func(a, b directory.Agent) int {
		return b.Status.TotalCores*1000 + b.Status.TotalMemMB - a.Status.TotalCores*1000 - a.Status.TotalMemMB
	})
	for _, a := range capable {
		if size := fmt.Sprintf("%d cores with %d MiB", a.Status.TotalCores, a.Status.TotalMemMB); !slices.Contains(sizes, size) {
			sizes = append(sizes, size)
		}
	}
	return &Unmet{
		api.CodeNoCapacity,
		fmt.Sprintf("no agent that could build this has %d cores and %d MiB of memory", n.Cores, n.MemoryMB),
		[]string{"ask for less; there are agents of " + list(sizes, maxVersions)},
		retryLater,
	}
}

func list(items []string, most int) string {
	if len(items) > most {
		return strings.Join(items[:most], ", ") + fmt.Sprintf(" and %d more", len(items)-most)
	}
	return strings.Join(items, ", ")
}

// printable removes control characters from text of an agent.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return -1
	}, s)
}
