package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/farforge/farforge/broker/disk"
	"github.com/farforge/farforge/broker/relay"
	"github.com/farforge/farforge/broker/server"
)

// RelayConfig says how peers are helped that find no direct way.
type RelayConfig struct {
	On           bool
	PublicIPs    []string
	Port         uint16
	TLSPort      uint16
	Ports        string
	Kbps         int
	AllowPrivate bool

	// TURNServers and TURNSecretFile are for a server of somebody else's making.
	TURNServers    []string
	TURNSecretFile string

	public   []netip.Addr
	min, max uint16
}

func (r *RelayConfig) register(f *pflag.FlagSet) {
	f.BoolVar(&r.On, "relay", false, "serve STUN and TURN, for peers that find no direct way to each other")
	f.StringArrayVar(&r.PublicIPs, "relay-public-ip", nil, "the `IP` address where peers reach the relay (default --addr's, or this machine's only public one); a second one, given by repeating the flag, completes the tests of NATs")
	f.Uint16Var(&r.Port, "relay-port", relay.DefaultPort, "UDP and TCP `PORT` of the relay; the UDP port after it tests NATs")
	f.Uint16Var(&r.TLSPort, "relay-tls-port", relay.DefaultTLSPort, "`PORT` of the relay over TLS, with the broker's certificate")
	f.StringVar(&r.Ports, "relay-ports", "49152-49231", "UDP ports to relay on, a `RANGE`; a job that is relayed takes up to eight")
	f.IntVar(&r.Kbps, "relay-kbps", 50_000, "most that is relayed for a job in each direction, in 1000 bits a second")
	f.BoolVar(&r.AllowPrivate, "relay-allow-private", false, "relay to loopback and private addresses too: in a laboratory, never on a public host")
	f.StringArrayVar(&r.TURNServers, "turn-server", nil, "tell peers of this TURN server, a `URL` such as turn:turn.example.org:3478?transport=udp; may be repeated")
	f.StringVar(&r.TURNSecretFile, "turn-secret-file", "", "a `FILE` with the secret shared with --turn-server (coturn's static-auth-secret)")
}

// validate looks at the flags alone, apart from the secret's file.
func (r *RelayConfig) validate() error {
	from, to, ok := strings.Cut(r.Ports, "-")
	low, err := strconv.ParseUint(from, 10, 16)
	high, err2 := strconv.ParseUint(to, 10, 16)
	switch {
	case r.On && (!ok || err != nil || err2 != nil || low == 0 || low > high):
		return usage(fmt.Errorf("--relay-ports: %q is no range of ports", r.Ports), "it looks like 49152-49231")
	case r.On && r.Kbps < 1:
		return usage(errors.New("--relay-kbps is out of range"), "it must be more than 0")
	case !r.On && (r.AllowPrivate || len(r.PublicIPs) > 0):
		return usage(errors.New("--relay-public-ip and --relay-allow-private say how to relay, and nothing is relayed"), "give --relay too")
	case (len(r.TURNServers) > 0) != (r.TURNSecretFile != ""):
		return usage(errors.New("--turn-server and --turn-secret-file go together"), "give both")
	case r.On && len(r.TURNServers) > 0:
		return usage(errors.New("--relay and --turn-server exclude each other"), "leave one of the two out")
	case len(r.PublicIPs) > 2:
		return usage(errors.New("--relay-public-ip is given more than twice"), "one address is enough; two complete the tests of NATs")
	}
	r.min, r.max = uint16(low), uint16(high)
	for _, text := range r.PublicIPs {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return usage(fmt.Errorf("--relay-public-ip: %w", err), "give an address such as 203.0.113.7")
		}
		r.public = append(r.public, ip.Unmap())
	}
	for _, u := range r.TURNServers {
		if !strings.HasPrefix(u, "turn:") && !strings.HasPrefix(u, "turns:") {
			return usage(fmt.Errorf("--turn-server: %q is not a TURN URL", u), "it looks like turn:turn.example.org:3478?transport=udp")
		}
	}
	return nil
}

// relaying is what serves and what the API's server has to know of it.
type relaying struct {
	server.Relay
	metrics prometheus.Gatherers
	stun    []string // for tests of NATs
	close   func()
}

// open starts the relay, if there is to be one. It may take over the API's
// listener, to serve TURN there too.
func (r *RelayConfig) open(l *server.Listeners, origin string, secret []byte, logger *slog.Logger) (*relaying, error) {
	switch {
	case len(r.TURNServers) > 0:
		text, _, err := disk.ReadSecret(r.TURNSecretFile, 4096)
		if err != nil {
			return nil, usage(fmt.Errorf("--turn-secret-file: %w", err))
		}
		shared := []byte(strings.TrimSpace(string(text)))
		if len(shared) == 0 {
			return nil, usage(errors.New("--turn-secret-file: the file is empty"))
		}
		return &relaying{Relay: relay.External{Secret: shared, URLs: r.TURNServers}, close: func() {}}, nil
	case !r.On:
		return &relaying{close: func() {}}, nil
	}
	public, err := r.publicIPs(l.API.Addr())
	if err != nil {
		return nil, err
	}
	host := ""
	if u, err := url.Parse(origin); err == nil {
		host = u.Hostname()
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("farforge relay v1"))
	registry := prometheus.NewRegistry()
	config := relay.Config{
		Secret: mac.Sum(nil), Host: host, PublicIPs: public, Port: r.Port, TLSPort: r.TLSPort,
		MinPort: r.min, MaxPort: r.max, AllowPrivate: r.AllowPrivate, JobKbps: r.Kbps,
		Registerer: registry, Logger: logger,
	}
	// Behind a proxy that ends TLS the API's port is not the one that peers
	// reach.
	if l.TLS != nil {
		config.TLS, config.Shared = l.TLS.Clone(), l.API
		config.TLS.NextProtos = nil
	}
	s, err := relay.Listen(config)
	if err != nil {
		return nil, usage(err, "is another program listening there? --relay-port and --relay-tls-port choose others")
	}
	if config.Shared != nil {
		l.API = s.API()
	}
	return &relaying{Relay: s, metrics: prometheus.Gatherers{registry}, stun: []string{s.STUN()}, close: func() {
		if err := s.Close(); err != nil {
			logger.Warn("close the relay", "err", err)
		}
	}}, nil
}

// publicIPs returns the addresses given, or else the one that this machine
// evidently has.
func (r *RelayConfig) publicIPs(api net.Addr) ([]netip.Addr, error) {
	if len(r.public) > 0 {
		return r.public, nil
	}
	if at, err := netip.ParseAddrPort(api.String()); err == nil && !at.Addr().IsUnspecified() {
		return []netip.Addr{at.Addr().Unmap()}, nil
	}
	var found []netip.Addr
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, usage(fmt.Errorf("--relay: list this machine's addresses: %w", err))
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && p.Addr().IsGlobalUnicast() && !p.Addr().IsPrivate() {
			found = append(found, p.Addr())
		}
	}
	if len(found) != 1 {
		return nil, usage(fmt.Errorf("--relay: this machine has %d public IPv4 addresses, so it is not clear where peers reach it", len(found)),
			"name the address with --relay-public-ip")
	}
	return found, nil
}
