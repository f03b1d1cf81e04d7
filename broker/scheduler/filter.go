package scheduler

import (
	"slices"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/common/api"
)

// stage is how far an agent comes in the filter.
type stage int

const (
	offline stage = iota
	draining
	notPinned
	excluded
	cannotOpen
	wrongTarget
	wrongToolchain
	tooSmall
	able
)

func step(a *directory.Agent, n *Need, o *Options) stage {
	switch {
	case !a.Alive(o.Now, o.Grace):
		return offline
	case a.Status.Draining:
		return draining
	case len(n.Agents) > 0 && !isAmong(a, n.Agents):
		return notPinned
	case isAmong(a, n.Exclude):
		return excluded
	case n.Sealed && a.Sealing == nil:
		return cannotOpen
	}
	// Which targets a job has that names none, its agent learns only from the
	// source. One that is limited to some cannot promise to keep to them.
	if n.Target == "" && len(a.Targets) > 0 {
		return wrongTarget
	}
	if reached := meets(a, n); reached != able {
		return reached
	}
	if a.Status.TotalCores < n.Cores || a.Status.TotalMemMB < n.MemoryMB {
		return tooSmall
	}
	return able
}

// meets tells how far the agent's capabilities come in meeting the need.
func meets(a *directory.Agent, n *Need) stage {
	if n.Target == "" && n.Toolchain == "" {
		return able
	}
	reached := wrongTarget
	for i := range a.Status.Capabilities {
		c := &a.Status.Capabilities[i]
		if n.Target != "" && c.Target != n.Target || !a.MayBuild(c.Target) {
			continue
		}
		reached = wrongToolchain
		if n.Toolchain == "" || c.Toolchain == n.Toolchain && api.VersionMatches(n.Version, c.Version) {
			return able
		}
	}
	return reached
}

// isAmong tells whether the list has the agent, by name or fingerprint.
func isAmong(a *directory.Agent, list []string) bool {
	return slices.Contains(list, a.Name) || slices.Contains(list, a.Fingerprint)
}
