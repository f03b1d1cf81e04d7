package quota

import (
	"cmp"
	"time"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/cli"
)

// Config configures the limits of users and networks.
type Config struct {
	// Limits are those of a user; unlike elsewhere, 0 means no limit.
	Limits Limits
	// AddressRate is how many requests a second a network may send before its
	// user is authenticated; 0 means no limit.
	AddressRate float64
}

const (
	// addressBurst is the burst of a network, in seconds of its rate.
	addressBurst = 10
	// addressMemory is how many networks are remembered, at about 150 bytes
	// each; twice as many under a flood.
	addressMemory = 1 << 15
)

// Register defines the flags and their defaults.
func (c *Config) Register(f *pflag.FlagSet) {
	f.IntVar(&c.Limits.Jobs, "user-jobs", 8, "allow a user `N` jobs at once, waiting ones included; 0 is no limit")
	f.IntVar(&c.Limits.Grants, "user-grants", 60, "allow a user `N` grants a minute; 0 is no limit")
	f.DurationVar(&c.Limits.Sessions, "user-sessions", 24*time.Hour, "allow a user this `TIME` on agents a day (UTC); 0 is no limit")
	f.Float64Var(&c.AddressRate, "address-rate", 20, "allow an IPv4 /24 or IPv6 /56 `N` requests a second; 0 is no limit")
}

// Validate reports the first wrong option.
func (c *Config) Validate() error {
	return cmp.Or(
		cli.Require(c.Limits.Jobs >= 0, "--user-jobs", "0 for no limit, or more"),
		cli.Require(c.Limits.Grants >= 0, "--user-grants", "0 for no limit, or more"),
		cli.Require(c.Limits.Sessions >= 0 && c.Limits.Sessions%time.Second == 0, "--user-sessions", "a time in whole seconds, or 0 for no limit"),
		cli.Require(c.AddressRate >= 0 && c.AddressRate <= 1e6, "--address-rate", "between 0 for no limit and 1000000"),
	)
}

// Addresses returns the limiter of networks, or nil if there is no limit.
func (c *Config) Addresses() *Addresses {
	if c.AddressRate == 0 {
		return nil
	}
	return NewAddresses(c.AddressRate, max(1, int(c.AddressRate*addressBurst)), addressMemory)
}
