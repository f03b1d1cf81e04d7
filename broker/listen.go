package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"

	"github.com/farforge/farforge/broker/activation"
	"github.com/farforge/farforge/broker/server"
)

// Names of sockets that a service manager may hand over; see
// broker/activation. The API's may have any other.
const (
	socketHTTP01  = "http"
	socketMetrics = "metrics"
)

// listeners are all that the broker listens on.
type listeners struct {
	server.Listeners
	http01 net.Listener
}

// listen opens all listeners, or none. What the service manager hands over is
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
	if l.http01 != nil && c.http01Addr() == "" {
		return l, usage(fmt.Errorf("the service manager hands over a socket for HTTP-01, named %q, which is of no use without --acme-hostnames and --acme-http-addr", socketHTTP01))
	}
	for _, want := range []struct {
		flag, addr string
		on         *net.Listener
	}{
		{"--addr", c.Addr, &l.API},
		{"--acme-http-addr", c.http01Addr(), &l.http01},
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
	return l, nil
}

// http01Addr is empty where no HTTP-01 challenge will come.
func (c *Config) http01Addr() string {
	if len(c.ACME.Hostnames) == 0 {
		return ""
	}
	return c.ACME.HTTPAddr
}

func (l *listeners) close() {
	for _, each := range []net.Listener{l.API, l.http01, l.Metrics} {
		if each != nil {
			_ = each.Close()
		}
	}
}
