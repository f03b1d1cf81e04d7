package console

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/farforge/farforge/common/api"
)

// Listing is the agents of a broker at one moment, in the order of the table: by name,
// offline agents last.
type Listing struct {
	everyone   []api.AgentInfo
	live       int // number of agents that are not offline; they come first
	all, asked bool
}

// NewListing sorts the agents of a broker's response. all shows offline agents, too;
// asked reports that the request was for some agents only.
func NewListing(agents []api.AgentInfo, all, asked bool) *Listing {
	sorted := slices.SortedStableFunc(slices.Values(agents), func(a, b api.AgentInfo) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Fingerprint, b.Fingerprint))
	})
	l := &Listing{all: all, asked: asked}
	var offline []api.AgentInfo
	for _, a := range sorted {
		if a.State == api.AgentOffline {
			offline = append(offline, a)
		} else {
			l.everyone = append(l.everyone, a)
		}
	}
	l.live = len(l.everyone)
	l.everyone = append(l.everyone, offline...)
	return l
}

// shown returns the agents of the table.
func (l *Listing) shown() []api.AgentInfo {
	if l.all {
		return l.everyone
	}
	return l.everyone[:l.live]
}

// AgentCount is the number of agents that match the request.
type AgentCount struct {
	Online  int `json:"online"`
	Offline int `json:"offline"`
}

// Count counts all agents, also those that the table leaves out.
func (l *Listing) Count() *AgentCount { return &AgentCount{l.live, len(l.everyone) - l.live} }

// note returns the line beside the table; it may be empty.
func (l *Listing) note() string {
	var parts []string
	switch {
	case l.live == 0 && l.asked:
		parts = append(parts, "no online agent matches")
	case l.live == 0:
		parts = append(parts, "no agent is online")
	}
	if offline := len(l.everyone) - l.live; offline > 0 && !l.all {
		parts = append(parts, fmt.Sprintf("%d offline (listed with --all)", offline))
	}
	return strings.Join(parts, "; ")
}

// rows returns the rows of the table; the first is its head.
func (l *Listing) rows() [][]string {
	rows := [][]string{{"NAME", "STATE", "CORES", "MEMORY", "JOBS", "BUILDS FOR", "TAGS"}}
	for _, a := range l.shown() {
		rows = append(rows, row(&a))
	}
	return rows
}

// row returns the cells of an agent: free capacity before the slash, total capacity
// behind it, and "(soft)" if its builds may exceed their limits.
func row(a *api.AgentInfo) []string {
	cores, mem := "-", "-"
	if a.TotalCores > 0 {
		cores = fmt.Sprintf("%d/%d", a.FreeCores, a.TotalCores)
		mem = memory(a.FreeMemMB) + "/" + memory(a.TotalMemMB)
		if a.SoftLimits {
			mem += " (soft)"
		}
	}
	tags := make([]string, 0, len(a.Tags))
	for _, tag := range a.Tags {
		tags = append(tags, cell(tag))
	}
	return []string{
		cell(cmp.Or(a.Name, a.Fingerprint)), cell(string(a.State)), cores, mem, fmt.Sprint(a.RunningJobs),
		cmp.Or(buildsFor(a.Capabilities), "-"), cmp.Or(strings.Join(tags, ","), "-"),
	}
}

// memory writes MiB as --memory takes them.
func memory(mb int) string {
	if mb < 1024 {
		return fmt.Sprintf("%dM", mb)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(mb)/1024), ".0") + "G"
}

// buildsFor lists toolchains with their targets, as in
// "esp-idf 5.3.1 (esp32, esp32c3), gcc 12 (esp32)".
func buildsFor(can []api.Capability) string {
	var chains []string
	targets := map[string][]string{}
	for _, c := range can {
		chain := strings.TrimSpace(cell(c.Toolchain) + " " + cell(c.Version))
		if _, known := targets[chain]; !known {
			chains = append(chains, chain)
		}
		if target := cell(c.Target); !slices.Contains(targets[chain], target) {
			targets[chain] = append(targets[chain], target)
		}
	}
	for i, chain := range chains {
		chains[i] += " (" + strings.Join(targets[chain], ", ") + ")"
	}
	return strings.Join(chains, ", ")
}

// The objects of agents.
type (
	agentEvent struct {
		Event string `json:"event"` // "agent"
		api.AgentInfo
	}
	agentGoneEvent struct {
		Event       string `json:"event"` // "agent_gone"
		Name        string `json:"name"`
		Fingerprint string `json:"fingerprint"`
	}
)

// Agents shows a listing once: the table on standard output, and the note beside it on
// standard error. The table fits the terminal.
func (c *Console) Agents(l *Listing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range l.shown() {
		c.emit(agentEvent{"agent", a})
	}
	if !c.json {
		width := math.MaxInt
		if c.redraws {
			width, _ = c.screen()
		}
		for n, lines := range tableWithin(l.rows(), width, false, 1, 2, 3, 4) {
			for _, line := range lines {
				fmt.Fprintln(c.stdout, c.dimmed(line, n > l.live))
			}
		}
	}
	if note := l.note(); note != "" {
		c.say("%s", note)
	}
}

// dimmed makes the line of an offline agent gray on a terminal.
func (c *Console) dimmed(line string, offline bool) string {
	if !offline || !c.dims {
		return line
	}
	return "\x1b[2m" + line + "\x1b[0m"
}
