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

// RegisterJobs defines the flags about grants and offers, with their defaults.
func (c *Config) RegisterJobs(f *pflag.FlagSet) {
	c.Limits.MemoryMB = 128 << 10
	f.DurationVar(&c.Limits.Session, "max-session", time.Hour, "grant sessions of at most this `TIME`")
	f.IntVar(&c.Limits.Cores, "max-cores", 64, "grant a job at most `N` cores")
	f.Var((*cli.Memory)(&c.Limits.MemoryMB), "max-memory", "grant a job at most this `SIZE` of memory")
	f.DurationVar(&c.MaxWait, "max-wait", api.MaxWait, "hold a request for at most this `TIME`, itself at most 25s")
	f.DurationVar(&c.AnswerTimeout, "answer-timeout", api.AnswerTimeout, "offer a job to the next agent after this `TIME` without an answer")
	f.BoolVar(&c.RequireSealed, "require-sealed", false, "refuse offers in plain text, which browsers and older clients send")
	cli.ListVar(f, &c.ICEServers, "ice-server", ",", parseSTUN, "tell peers of the STUN server at this `URL`; may be repeated")
}

// RegisterReach defines the flags about proxies and web pages.
func (c *Config) RegisterReach(f *pflag.FlagSet) {
	cli.ListVar(f, &c.TrustedProxies, "trusted-proxies", ",", parseNetwork, "believe X-Forwarded-For from these `NETWORKS`, such as 10.0.0.0/8")
	cli.ListVar(f, &c.AllowedOrigins, "allowed-origins", ",", parseOrigin, "serve web pages of these `ORIGINS`; * is every page and needs --open")
	cli.Env(f, "allowed-origins", originsVariable)
}

// Validate reports the first wrong option.
func (c *Config) Validate() error {
	return cmp.Or(
		cli.Require(c.Limits.Session > 0 && c.Limits.Session <= 24*time.Hour, "--max-session", "at most 24h"),
		cli.Require(c.Limits.Cores > 0, "--max-cores", "more than 0"),
		cli.Require(c.MaxWait >= time.Second && c.MaxWait <= api.MaxWait, "--max-wait", "between 1s and "+api.MaxWait.String()),
		cli.Require(c.AnswerTimeout >= 100*time.Millisecond && c.AnswerTimeout <= c.MaxWait, "--answer-timeout", "between 100ms and --max-wait"),
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

func parseSTUN(text string) (api.ICEServer, error) {
	if !strings.HasPrefix(text, "stun:") && !strings.HasPrefix(text, "stuns:") {
		return api.ICEServer{}, cli.Usagef("%q is not a STUN URL", text).Hint("it looks like stun:stun.example.org:3478")
	}
	return api.ICEServer{URLs: []string{text}}, nil
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
		return network, cli.Usagef("%q is everybody: anyone could claim any address", text).Hint("name the proxies' own networks")
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
		return "", cli.Fail(cli.Usage, fmt.Errorf("%q is no origin", text), "an origin has scheme, host and perhaps a port, such as https://app.example.org, and no path")
	}
	host := strings.TrimSuffix(u.Host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
	return u.Scheme + "://" + host, nil
}
