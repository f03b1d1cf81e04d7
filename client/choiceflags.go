package main

import (
	"slices"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/toolchain"
)

// choiceOptions are the flags that say which agents may build.
type choiceOptions struct {
	Toolchain     string
	Tags          []string
	Agents        []string
	ExcludeAgents []string
	// Explain shows why the candidates are what they are.
	Explain bool
}

func (o *choiceOptions) register(f *pflag.FlagSet) {
	o.registerAble(f)
	f.StringArrayVar(&o.Agents, "agent", nil, "only this agent, by `NAME` or fingerprint; may be repeated")
	f.StringArrayVar(&o.ExcludeAgents, "exclude-agent", nil, "not this agent, by `NAME` or fingerprint; may be repeated")
	f.BoolVar(&o.Explain, "explain", false, "show which agents could build, best first, and why")
}

// registerAble defines those of what an agent can do and is.
func (o *choiceOptions) registerAble(f *pflag.FlagSet) {
	f.StringVar(&o.Toolchain, "toolchain", "", "build with this toolchain, `NAME[@CONSTRAINT]`, such as esp-idf, esp-idf@5.3, esp-idf@~5.3.1 or 'esp-idf@>=5.1,<5.4'")
	f.StringArrayVar(&o.Tags, "tag", nil, "only an agent with this tag, a `NAME` such as eu; may be repeated, and then it needs all of them")
}

// Validate reports what no broker would accept.
func (o *choiceOptions) Validate() error {
	if _, err := toolchain.Parse(o.Toolchain); err != nil {
		return cli.Failf(cli.Usage, "--toolchain: %w", err).
			Hint("esp-idf@5.3 accepts 5.3.1, esp-idf@~5.3.1 later patches of 5.3, esp-idf@^5.1 all of 5 from 5.1 on, 'esp-idf@>=5.1,<5.4' a range")
	}
	if len(o.Tags) > api.MaxTags {
		return usage("--tag: %d tags, at most %d can be asked for", len(o.Tags), api.MaxTags)
	}
	for _, tag := range o.Tags {
		if !api.ValidTag(tag) {
			return cli.Failf(cli.Usage, "--tag: %q is not a tag such as eu", tag).Hint("repeat --tag for each")
		}
	}
	for flag, agents := range map[string][]string{"--agent": o.Agents, "--exclude-agent": o.ExcludeAgents} {
		if len(agents) > api.MaxAgents {
			return usage("%s: %d agents, at most %d can be named", flag, len(agents), api.MaxAgents)
		}
		if slices.Contains(agents, "") {
			return usage("%s: an agent's name or fingerprint cannot be empty", flag)
		}
	}
	for _, agent := range o.ExcludeAgents {
		if slices.Contains(o.Agents, agent) {
			return usage("--agent and --exclude-agent both name %s", agent)
		}
	}
	return nil
}
