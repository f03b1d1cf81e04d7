package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/spf13/pflag"

	"github.com/farforge/farforge/broker/server"
)

// originsVariable is the environment variable for --allowed-origins.
const originsVariable = "ALLOWED_ORIGINS"

// proxyHeaderTimeout is how long a proxy may take to send its header.
const proxyHeaderTimeout = 5 * time.Second

// ReachConfig says through whom the broker is reached, and from which pages.
type ReachConfig struct {
	TrustedProxies []string
	ProxyProtocol  bool
	AllowedOrigins []string

	networks []netip.Prefix // TrustedProxies, once validated
}

func (r *ReachConfig) register(f *pflag.FlagSet) {
	f.StringSliceVar(&r.TrustedProxies, "trusted-proxies", nil, "believe these `NETWORKS`, separated by commas, such as 127.0.0.1 or 10.0.0.0/8, when they tell in X-Forwarded-For who their client is")
	f.BoolVar(&r.ProxyProtocol, "proxy-protocol", false, "expect a PROXY protocol header (version 1 or 2) on each connection from --trusted-proxies, and only there")
	f.StringSliceVar(&r.AllowedOrigins, "allowed-origins", nil, "let web pages of these `ORIGINS`, separated by commas, such as https://app.example.org, use the broker; * for every page there is, which only --open allows (default $"+originsVariable+")")
}

// validate looks at the flags and the environment, and brings the origins into
// the form that browsers send.
func (r *ReachConfig) validate(open bool) error {
	r.networks = nil
	for _, text := range r.TrustedProxies {
		network, err := parseNetwork(text)
		if err != nil {
			return usage(fmt.Errorf("--trusted-proxies: %q is not a network", text), "give addresses such as 127.0.0.1, or networks such as 10.0.0.0/8")
		}
		if network.Bits() == 0 {
			return usage(fmt.Errorf("--trusted-proxies: %q is everybody: anyone could claim any address", text), "name the proxies' own networks")
		}
		r.networks = append(r.networks, network)
	}
	if r.ProxyProtocol && len(r.networks) == 0 {
		return usage(errors.New("--proxy-protocol goes with --trusted-proxies: anyone else could claim any address"), "name the networks of the proxies that send the header")
	}
	source := "--allowed-origins"
	if len(r.AllowedOrigins) == 0 && os.Getenv(originsVariable) != "" {
		source = originsVariable
		r.AllowedOrigins = strings.Split(os.Getenv(originsVariable), ",")
	}
	for i, text := range r.AllowedOrigins {
		origin, err := parseOrigin(strings.TrimSpace(text))
		if err != nil {
			return usage(fmt.Errorf("%s: %w", source, err), "an origin has scheme, host and perhaps a port, such as https://app.example.org, and no path")
		}
		r.AllowedOrigins[i] = origin
	}
	if slices.Contains(r.AllowedOrigins, server.AnyOrigin) && !open {
		return usage(fmt.Errorf("%s: * lets every page on the web use this broker, which is for those who have a token", source),
			"list the origins of the pages that may, such as https://app.example.org", "or --open, if the broker is for everybody")
	}
	if slices.Contains(r.AllowedOrigins, server.AnyOrigin) && len(r.AllowedOrigins) > 1 {
		return usage(fmt.Errorf("%s: * is everybody; the others say nothing", source), "leave one of the two out")
	}
	return nil
}

// parseNetwork takes a network or a single address.
func parseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return network, err
	}
	return network.Masked(), nil
}

// parseOrigin returns the origin as browsers serialise it.
func parseOrigin(text string) (string, error) {
	if text == server.AnyOrigin {
		return text, nil
	}
	u, err := url.Parse(strings.ToLower(text))
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || strings.Contains(u.Host, "*") ||
		strings.TrimSuffix(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", fmt.Errorf("%q is no origin", text)
	}
	host := strings.TrimSuffix(u.Host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
	return u.Scheme + "://" + host, nil
}

// throughProxies takes PROXY protocol headers from the proxies that are
// trusted. Everybody else is who they are; a header from them is no HTTP.
func (r *ReachConfig) throughProxies(l net.Listener) net.Listener {
	if !r.ProxyProtocol {
		return l
	}
	return &proxyproto.Listener{
		Listener: l, ReadHeaderTimeout: proxyHeaderTimeout,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			from, err := netip.ParseAddrPort(o.Upstream.String())
			addr := from.Addr().Unmap().WithZone("")
			if err == nil && slices.ContainsFunc(r.networks, func(n netip.Prefix) bool { return n.Contains(addr) }) {
				return proxyproto.REQUIRE, nil
			}
			return proxyproto.SKIP, nil
		},
	}
}
