package server

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
)

// originsVariable is the environment variable for --allowed-origins.
const originsVariable = "ALLOWED_ORIGINS"

// RegisterWait defines the flag about blocked requests.
func (c *Config) RegisterWait(f *pflag.FlagSet) {
	f.DurationVar(&c.MaxWait, "max-wait", api.MaxWait, "hold a request for at most this `TIME`, itself at most 25s")
}

// RegisterMetrics defines the flags about what metrics and logs may reveal.
func (c *Config) RegisterMetrics(f *pflag.FlagSet) {
	f.BoolVar(&c.ExactMetrics, "exact-metrics", false, "report exact counts instead of multiples of 8, which protect single users")
	f.BoolVar(&c.UnsafeLogging, "unsafe-logging", false, "log the addresses of clients and agents")
}

// RegisterReach defines the flags about proxies and web pages.
func (c *Config) RegisterReach(f *pflag.FlagSet) {
	cli.ListVar(f, &c.TrustedProxies, "trusted-proxies", ",", parseNetwork, "believe X-Forwarded-For from these `NETWORKS`, such as 10.0.0.0/8")
	cli.ListVar(f, &c.AllowedOrigins, "allowed-origins", ",", parseOrigin, "serve web pages of these `ORIGINS`; * is every page and needs --open")
	cli.Env(f, "allowed-origins", originsVariable)
}

// Validate reports the first wrong option, including those of the jobs.
func (c *Config) Validate() error {
	return cmp.Or(
		c.Config.Validate(),
		cli.Require(c.MaxWait >= time.Second && c.MaxWait <= api.MaxWait, "--max-wait", "between 1s and "+api.MaxWait.String()),
		cli.Require(c.AnswerTimeout <= c.MaxWait, "--answer-timeout", "between 100ms and --max-wait"),
		c.validateOrigins(),
	)
}

func (c *Config) validateOrigins() error {
	for _, origin := range c.AllowedOrigins {
		if origin == AnyOrigin && len(c.AllowedOrigins) > 1 {
			return cli.Usagef("--allowed-origins: * allows every page, so the other origins mean nothing").Hint("leave one of the two out")
		}
	}
	return nil
}

// parseNetwork parses a network or a single address.
func parseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return network, cli.Usagef("%q is not a network", text).Hint("give addresses such as 127.0.0.1, or networks such as 10.0.0.0/8")
	case network.Bits() == 0:
		return network, cli.Usagef("%q includes everybody: anyone could claim any address", text).Hint("name the proxies' own networks")
	}
	return network.Masked(), nil
}

// parseOrigin returns the origin as browsers serialize it.
func parseOrigin(text string) (string, error) {
	if text == AnyOrigin {
		return text, nil
	}
	u, err := url.Parse(strings.ToLower(text))
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || strings.Contains(u.Host, "*") ||
		strings.TrimSuffix(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", cli.Fail(cli.Usage, fmt.Errorf("%q is not an origin", text), "an origin has scheme, host and perhaps a port, such as https://app.example.org, and no path")
	}
	host := strings.TrimSuffix(u.Host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
	return u.Scheme + "://" + host, nil
}
