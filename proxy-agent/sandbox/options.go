package sandbox

import (
	"context"
	"errors"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/cli"
)

// The kinds of sandbox.
const (
	KindBubblewrap = "bubblewrap"
	KindNone       = "none"
)

// Options choose a sandbox.
type Options struct {
	Kind string
	// RequireLimits refuses a machine where limits would be soft.
	RequireLimits bool
}

// Register defines the flags and their defaults.
func (o *Options) Register(f *pflag.FlagSet) {
	f.BoolVar(&o.RequireLimits, "require-limits", false, "refuse to start where control groups cannot enforce limits")
	f.StringVar(&o.Kind, "sandbox", KindBubblewrap, "run builds in this `KIND` of sandbox: bubblewrap, or none if you trust every client")
}

// Validate reports the first wrong option.
func (o *Options) Validate() error {
	if o.Kind != KindBubblewrap && o.Kind != KindNone {
		return cli.Usagef("--sandbox: %q is not a sandbox", o.Kind).Hint("it must be bubblewrap or none")
	}
	return nil
}

// Open returns the sandbox that valid options choose, once it works on this
// machine.
func (o *Options) Open(ctx context.Context) (Sandbox, error) {
	var sb Sandbox = None{}
	if o.Kind == KindBubblewrap {
		sb = NewBubblewrap(ctx)
	}
	err := sb.Check(ctx)
	var unusable *Unusable
	if errors.As(err, &unusable) {
		return nil, cli.Fail(cli.Usage, err, unusable.Hint(), "or run builds without one, if you trust every client with this account: --sandbox none")
	}
	if err != nil {
		return nil, err
	}
	if soft := sb.Soft(); soft != nil && o.RequireLimits {
		return nil, cli.Usagef("--require-limits: limits are soft here: %w", soft).Hint(LimitsHint)
	}
	return sb, nil
}

// LimitsHint says how an agent gets control groups.
const LimitsHint = "give the agent's systemd unit the lines Delegate=cpu cpuset memory pids and OOMPolicy=continue, or see doc/agent.md"
