package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/identity"
)

// Config is the command line. Zero limits mean the server's defaults.
type Config struct {
	Addr, AddrFile   string
	Origin           string
	Cert, Key        string
	DisableTLS       bool
	ACME             ACMEConfig
	Reach            ReachConfig
	AuthorizedAgents string
	StateDir         string
	AdminTokenFile   string
	Open             bool
	Users            UserConfig
	RequireSealed    bool
	ICEServers       []string
	Relay            RelayConfig
	MaxSession       time.Duration
	MaxCores         int
	MaxMemory        int // MiB
	MaxWait          time.Duration
	AnswerTimeout    time.Duration
	MetricsAddr      string
	ExactMetrics     bool
	LogFormat        string
	LogLevel         string
	UnsafeLogging    bool
}

// Validate reports the first flag that is missing or wrong, with what to do
// about it. It brings Origin into its normal form.
func (c *Config) Validate() error {
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return usage(fmt.Errorf("--addr: %w", err), "give a host and a port, such as :443 or 127.0.0.1:8080")
	}
	if err := c.validateTLS(); err != nil {
		return err
	}
	switch {
	case c.AuthorizedAgents == "":
		return usage(errors.New("--authorized-agents is missing: no agent could serve"),
			"put the agents' public keys into a file, one a line, and name it")
	case c.StateDir == "":
		return usage(errors.New("--state-dir is missing: the grant signing key needs a place"), "name a folder that only the broker can read")
	}
	if err := c.validateOrigin(host); err != nil {
		return err
	}
	if err := c.Users.validate(c.Open); err != nil {
		return err
	}
	if err := c.Reach.validate(c.Open); err != nil {
		return err
	}
	if err := c.Relay.validate(); err != nil {
		return err
	}
	for _, l := range []struct {
		flag string
		bad  bool
		want string
	}{
		{"--max-session", c.MaxSession < 0 || c.MaxSession > 24*time.Hour, "at most 24h"},
		{"--max-cores", c.MaxCores < 0, "more than 0"},
		{"--max-memory", c.MaxMemory < 0, "more than 0"},
		{"--max-wait", c.MaxWait < time.Second || c.MaxWait > api.MaxWait, "between 1s and " + api.MaxWait.String()},
		{"--answer-timeout", c.AnswerTimeout < 100*time.Millisecond || c.AnswerTimeout > c.MaxWait, "between 100ms and --max-wait"},
		{"--log-format", c.LogFormat != "text" && c.LogFormat != "json", "text or json"},
	} {
		if l.bad {
			return usage(fmt.Errorf("%s is out of range", l.flag), "it must be "+l.want)
		}
	}
	if err := new(slog.Level).UnmarshalText([]byte(c.LogLevel)); err != nil {
		return usage(fmt.Errorf("--log-level: %w", err), "it must be debug, info, warn or error")
	}
	if c.MetricsAddr != "" {
		if _, _, err := net.SplitHostPort(c.MetricsAddr); err != nil {
			return usage(fmt.Errorf("--metrics-addr: %w", err), "give a host and a port, such as 127.0.0.1:9100")
		}
	}
	for _, u := range c.ICEServers {
		if !strings.HasPrefix(u, "stun:") && !strings.HasPrefix(u, "stuns:") {
			return usage(fmt.Errorf("--ice-server: %q is not a STUN URL", u), "it looks like stun:stun.example.org:3478")
		}
	}
	return nil
}

func (c *Config) validateOrigin(host string) error {
	if c.Origin == "" && len(c.ACME.Hostnames) > 0 {
		c.Origin = "https://" + c.ACME.Hostnames[0]
	}
	if c.Origin == "" {
		if c.DisableTLS && isLoopback(host) {
			return nil // known once the port is
		}
		return usage(errors.New("--origin is missing: agents sign the URL that they dial"),
			"give the URL that agents and clients will use, such as --origin https://broker.example.org")
	}
	origin, err := identity.Origin(c.Origin)
	if err != nil {
		return usage(fmt.Errorf("--origin: %w", err), "give scheme and host, such as https://broker.example.org")
	}
	c.Origin = origin
	return nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(strings.Replace(host, "localhost", "127.0.0.1", 1))
	return err == nil && ip.IsLoopback()
}

func usage(err error, hints ...string) error { return cli.Fail(cli.Usage, err, hints...) }
