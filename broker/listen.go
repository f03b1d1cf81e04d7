package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/farforge/farforge/broker/activation"
	"github.com/farforge/farforge/broker/server"
)

// Names of sockets that a service manager may pass; see broker/activation. The
// API's socket may have any other name.
const (
	socketHTTP01  = "http"
	socketMetrics = "metrics"
)

// proxyHeaderTimeout is how long a proxy may take to send its header.
const proxyHeaderTimeout = 5 * time.Second

// listeners are all listeners of the broker.
type listeners struct {
	server.Listeners
	http01 net.Listener
}

// listen opens all listeners, or none. Sockets that the service manager passes are
// used instead of the addresses.
func listen(c *Config) (l listeners, err error) {
	inherited, err := activation.Take()
	if err != nil {
		return l, err
	}
	defer func() {
		if err = errors.Join(err, inherited.Close()); err != nil {
			l.close()
		}
	}()
	l.http01, l.Metrics = inherited.Named(socketHTTP01), inherited.Named(socketMetrics)
	if l.API, err = inherited.Rest(); err != nil {
		return l, err
	}
	if l.http01 != nil && c.Certificate.HTTP01Addr() == "" {
		return l, usage(fmt.Errorf("the service manager passes a socket for HTTP-01, named %q, which needs --acme-hostnames and --acme-http-addr", socketHTTP01))
	}
	for _, want := range []struct {
		flag, addr string
		on         *net.Listener
	}{
		{"--addr", c.Addr, &l.API},
		{"--acme-http-addr", c.Certificate.HTTP01Addr(), &l.http01},
		{"--metrics-addr", c.MetricsAddr, &l.Metrics},
	} {
		if *want.on != nil || want.addr == "" {
			continue
		}
		if *want.on, err = net.Listen("tcp", want.addr); err != nil {
			*want.on = nil
			hint := "is another program listening there?"
			if errors.Is(err, fs.ErrPermission) {
				hint = "let the broker use ports below 1024: setcap cap_net_bind_service=+ep FILE, or open them by a systemd socket unit"
			}
			return l, usage(fmt.Errorf("%s: %w", want.flag, err), hint)
		}
	}
	if c.ProxyProtocol {
		l.API = behindProxies(l.API, c.Server.TrustedProxies)
	}
	return l, nil
}

// behindProxies takes PROXY protocol headers from trusted proxies. A header from
// anybody else is an invalid request.
func behindProxies(l net.Listener, trusted []netip.Prefix) net.Listener {
	return &proxyproto.Listener{
		Listener: l, ReadHeaderTimeout: proxyHeaderTimeout,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			from, err := netip.ParseAddrPort(o.Upstream.String())
			addr := from.Addr().Unmap().WithZone("")
			if err == nil && slices.ContainsFunc(trusted, func(n netip.Prefix) bool { return n.Contains(addr) }) {
				return proxyproto.REQUIRE, nil
			}
			return proxyproto.SKIP, nil
		},
	}
}

func (l *listeners) close() {
	for _, each := range []net.Listener{l.API, l.http01, l.Metrics} {
		if each != nil {
			_ = each.Close()
		}
	}
}
