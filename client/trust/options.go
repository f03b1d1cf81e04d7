package trust

import (
	"os"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/identity"
)

// Options select the agents to trust.
type Options struct {
	KnownAgents string // a file; empty is the user's own
	Strict      bool
}

// RegisterKnown defines --known-agents, for verbs without a job.
func (o *Options) RegisterKnown(f *pflag.FlagSet) {
	f.StringVar(&o.KnownAgents, "known-agents", "", "trust the agents in this `FILE` (default known_agents in the user's configuration)")
}

// Register defines all flags.
func (o *Options) Register(f *pflag.FlagSet) {
	o.RegisterKnown(f)
	f.BoolVar(&o.Strict, "strict-agents", false, "refuse unknown agents instead of trusting new ones from then on")
}

// Known returns the file of trusted agents, which need not exist yet.
func (o *Options) Known() (*identity.KnownAgents, error) {
	path := o.KnownAgents
	if path == "" {
		var err error
		if path, err = DefaultFile(os.Getenv); err != nil {
			return nil, err
		}
	}
	return identity.NewKnownAgents(path), nil
}
