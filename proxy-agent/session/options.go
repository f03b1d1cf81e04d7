package session

import (
	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/peer"
)

// Register defines the flags and their defaults.
func (c *Config) Register(f *pflag.FlagSet) {
	f.BoolVar(&c.RequireSealed, "require-sealed", false, "refuse offers that the broker could read")
	f.BoolVar(&c.KeepLocal, "keep-local-addresses", false, "put local addresses into answers, even for clients in other networks")
	peer.RegisterDTLS(f, &c.PlainDTLS)
}
