package source

import (
	"cmp"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/cli"
)

// Register defines the flags and their defaults.
func (c *Config) Register(f *pflag.FlagSet) {
	f.StringSliceVar(&c.Hosts, "source-hosts", nil, "fetch archives that clients name from these hosts: `HOST[:PORT]`, by commas (default none)")
	c.MaxSize = DefaultMaxSize
	f.Var((*cli.Bytes)(&c.MaxSize), "source-max-size", "refuse archives of more than this `SIZE`")
}

// Validate reports the first wrong option.
func (c *Config) Validate() error {
	var hosts error
	if _, err := New(*c); err != nil {
		hosts = cli.Usagef("--source-hosts: %w", err).Hint("separate several by commas")
	}
	return cmp.Or(cli.Require(c.MaxSize <= 4096*cli.MiB, "--source-max-size", "at most 4G"), hosts)
}
