package monitor

import (
	"cmp"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/cli"
)

// Register defines the flags and their defaults.
func (o *Options) Register(f *pflag.FlagSet) {
	f.DurationVar(&o.For, "monitor-for", 0, "watch for this `TIME`; with the next two flags, wait at most so long")
	f.IntVar(&o.Until.Lines, "monitor-lines", 0, "watch until the board has printed `N` lines")
	f.StringVar(&o.Until.Text, "monitor-until", "", "watch until the board prints this `TEXT`")
}

// Validate reports the first wrong option.
func (o *Options) Validate() error {
	return cmp.Or(
		cli.Require(o.For >= 0, "--monitor-for", "0 for no limit, or more"),
		cli.Require(o.Until.Lines >= 0, "--monitor-lines", "0 for no limit, or more"),
	)
}
