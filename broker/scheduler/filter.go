package scheduler

import (
	"slices"
	"strings"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/common/capacity"
)

// stage is the step of the filter that an agent fails, or able.
type stage int

const (
	offline stage = iota
	draining
	notPinned
	excluded
	cannotOpen
	wrongKind
	wrongTarget
	wrongToolchain
	wrongTag
	tooSmall
	able
)

func step(a *directory.Agent, n *Need, o *Options) stage {
	if reached := present(a, n, o); reached != able {
		return reached
	}
	if reached := meets(a, n); reached != able {
		return reached
	}
	return fits(a, n)
}

// present checks the steps before the capabilities.
func present(a *directory.Agent, n *Need, o *Options) stage {
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
	// If a job names no target, its agent finds the target in the source. It might
	// be one that the operator does not allow on this agent.
	if n.Target == "" && len(a.Targets) > 0 {
		return wrongTarget
	}
	return able
}

// fits checks the last step.
func fits(a *directory.Agent, n *Need) stage {
	if total := (capacity.Capacity{Cores: a.Status.TotalCores, MemoryMB: a.Status.TotalMemMB}); !total.Fits(n.Capacity) {
		return tooSmall
	}
	return able
}

// meets checks the steps that are the same for all agents of a class: recipes,
// capabilities and tags.
func meets(a *directory.Agent, n *Need) stage {
	if reached := builds(a, n); reached != able {
		return reached
	}
	for _, tag := range n.Tags {
		if !slices.Contains(a.Tags, tag) {
			return wrongTag
		}
	}
	return able
}

func builds(a *directory.Agent, n *Need) stage {
	if reached := recognizes(a, n); reached != able {
		return reached
	}
	if n.Target == "" && n.Toolchain.Name == "" {
		return able
	}
	reached := wrongTarget
	for i := range a.Status.Capabilities {
		c := &a.Status.Capabilities[i]
		if n.Target != "" && c.Target != n.Target || !a.MayBuild(c.Target) {
			continue
		}
		reached = wrongToolchain
		if n.Toolchain.Name == "" || c.Toolchain == n.Toolchain.Name && n.Toolchain.Accepts(c.Version) {
			return able
		}
	}
	return reached
}

// recognizes checks the agent's recipes. An agent that does not announce its recipes
// is assumed to have one for every kind.
func recognizes(a *directory.Agent, n *Need) stage {
	if n.Kind == "" || a.Status.Recipes == nil {
		return able
	}
	reached := wrongKind
	for i := range a.Status.Recipes {
		r := &a.Status.Recipes[i]
		switch {
		case r.Kind != n.Kind:
		case n.Target != "" && len(r.Targets) > 0 && !slices.Contains(r.Targets, n.Target):
			reached = max(reached, wrongTarget)
		case n.Toolchain.Name != "" && len(r.Toolchains) > 0 && !slices.ContainsFunc(r.Toolchains, func(t string) bool {
			name, version, _ := strings.Cut(t, "@")
			return name == n.Toolchain.Name && (version == "" || n.Toolchain.Accepts(version))
		}):
			reached = max(reached, wrongToolchain)
		default:
			return able
		}
	}
	return reached
}

// isAmong reports whether the list has the agent, by name or fingerprint.
func isAmong(a *directory.Agent, list []string) bool {
	return slices.Contains(list, a.Name) || slices.Contains(list, a.Fingerprint)
}
