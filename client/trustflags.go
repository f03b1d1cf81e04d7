package main

import (
	"os"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/client/trust"
	"github.com/farforge/farforge/common/identity"
)

// knownOptions is the flag of whatever believes agents.
type knownOptions struct{ KnownAgents string }

func (o *knownOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.KnownAgents, "known-agents", "", "the `FILE` of the agents that are trusted (default known_agents in the user's configuration)")
}

// known returns the user's file, which need not exist yet.
func (o *knownOptions) known() (*identity.KnownAgents, error) {
	path := o.KnownAgents
	if path == "" {
		var err error
		if path, err = trust.DefaultFile(os.Getenv); err != nil {
			return nil, err
		}
	}
	return identity.NewKnownAgents(path), nil
}

// trustOptions are the flags about what a job demands of agents and broker.
type trustOptions struct {
	knownOptions
	StrictAgents  bool
	AllowUnsealed bool
	AllowUnsigned bool
}

func (o *trustOptions) register(f *pflag.FlagSet) {
	o.knownOptions.register(f)
	f.BoolVar(&o.StrictAgents, "strict-agents", false, "refuse agents that are not known yet; otherwise a new one is trusted from then on")
	f.BoolVar(&o.AllowUnsealed, "allow-unsealed", false, "let the broker read the offer, with this machine's addresses, if an agent has no key to seal it to")
	f.BoolVar(&o.AllowUnsigned, "allow-unsigned", false, "accept artifacts of an agent that signs no statement about them")
}
