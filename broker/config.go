package main

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/broker/certificate"
	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/broker/relay"
	"github.com/farforge/farforge/broker/server"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/identity"
)

// Config composes the options of the broker's packages.
type Config struct {
	Addr, AddrFile   string
	Origin           string
	StateDir         string
	AuthorizedAgents string
	AdminTokenFile   string
	ProxyProtocol    bool
	MetricsAddr      string
	Certificate      certificate.Config
	Users            users.Config
	Quota            quota.Config
	Relay            relay.Config
	Server           server.Config
	Log              cli.LogConfig
}

// Register defines the flags, by headings.
func (c *Config) Register(f *pflag.FlagSet) {
	cli.Section(f, "Place", c.registerPlace)
	cli.Section(f, "Certificate", c.Certificate.Register)
	cli.Section(f, "Agents", c.registerAgents)
	cli.Section(f, "Users", c.Users.Register, c.Quota.Register)
	cli.Section(f, "Jobs", c.Server.Register, c.Server.RegisterWait)
	cli.Section(f, "Relay", c.Relay.Register)
	cli.Section(f, "Proxies and web pages", c.Server.RegisterReach, c.registerProxy)
	cli.Section(f, "Metrics and log", c.registerMetrics, c.Server.RegisterMetrics, c.Log.Register)
}

func (c *Config) registerPlace(f *pflag.FlagSet) {
	f.StringVar(&c.Addr, "addr", ":443", "listen on `HOST:PORT`; port 0 takes a free one")
	f.StringVar(&c.AddrFile, "addr-file", "", "write the URL to `FILE` once the broker listens")
	f.StringVar(&c.Origin, "origin", "", "name the `URL` that agents and clients dial, such as https://broker.example.org")
	f.StringVar(&c.StateDir, "state-dir", "", "keep keys, certificates and the history of agents in `DIR`")
}

func (c *Config) registerAgents(f *pflag.FlagSet) {
	f.StringVar(&c.AuthorizedAgents, "authorized-agents", "", "admit the agents in this `FILE` in authorized_keys format")
	f.StringVar(&c.AdminTokenFile, "admin-token-file", "", "enable /services for holders of the token in `FILE`; made if missing")
}

func (c *Config) registerProxy(f *pflag.FlagSet) {
	f.BoolVar(&c.ProxyProtocol, "proxy-protocol", false, "expect PROXY protocol headers from --trusted-proxies, and only from them")
}

func (c *Config) registerMetrics(f *pflag.FlagSet) {
	f.StringVar(&c.MetricsAddr, "metrics-addr", "", "serve /metrics on this `HOST:PORT` only, over plain HTTP")
}

// Validate reports the first flag that is missing or wrong, with a hint. It
// normalizes Origin.
func (c *Config) Validate() error {
	return cmp.Or(
		hostPort("--addr", c.Addr, ":443 or 127.0.0.1:8080"),
		c.Certificate.Validate(),
		given(c.AuthorizedAgents, "--authorized-agents is missing: no agent could serve", "put the agents' public keys into a file, one a line, and name it"),
		given(c.StateDir, "--state-dir is missing: the grant signing key needs a place", "name a folder that only the broker can read"),
		c.validateOrigin(),
		c.Users.Validate(),
		c.Quota.Validate(),
		c.validateReach(),
		c.Relay.Validate(),
		c.Server.Validate(),
		c.Log.Validate(),
		c.validateMetrics(),
	)
}

func given(value, missing, hint string) error {
	if value == "" {
		return cli.Usagef("%s", missing).Hint(hint)
	}
	return nil
}

func hostPort(flag, value, example string) error {
	if _, _, err := net.SplitHostPort(value); err != nil {
		return cli.Usagef("%s: %w", flag, err).Hint("give a host and a port, such as " + example)
	}
	return nil
}

func (c *Config) validateMetrics() error {
	if c.MetricsAddr == "" {
		return nil
	}
	return hostPort("--metrics-addr", c.MetricsAddr, "127.0.0.1:9100")
}

func (c *Config) validateReach() error {
	if c.ProxyProtocol && len(c.Server.TrustedProxies) == 0 {
		return cli.Usagef("--proxy-protocol needs --trusted-proxies: without it, any client could claim any address").
			Hint("name the networks of the proxies that send the header")
	}
	if slices.Contains(c.Server.AllowedOrigins, server.AnyOrigin) && !c.Users.Open {
		return cli.Usagef("--allowed-origins: * lets every page on the web use this broker, but the broker requires tokens").
			Hint("list the origins of the allowed pages, such as https://app.example.org", "or add --open, if everybody may use the broker")
	}
	return nil
}

func (c *Config) validateOrigin() error {
	if c.Origin = cmp.Or(c.Origin, c.Certificate.Origin()); c.Origin == "" {
		if host, _, err := net.SplitHostPort(c.Addr); err == nil && c.Certificate.Disable && isLoopback(host) {
			return nil // the origin is known once the port is
		}
		return cli.Usagef("--origin is missing: agents sign the URL that they dial").
			Hint("give the URL that agents and clients will use, such as --origin https://broker.example.org")
	}
	origin, err := identity.Origin(c.Origin)
	if err != nil {
		return cli.Usagef("--origin: %w", err).Hint("give scheme and host, such as https://broker.example.org")
	}
	c.Origin = origin
	return nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(strings.Replace(host, "localhost", "127.0.0.1", 1))
	return err == nil && ip.IsLoopback()
}

func usage(err error, hints ...string) error { return cli.Fail(cli.Usage, err, hints...) }
