package relay

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// The protocols' well-known ports.
const (
	DefaultPort    = 3478
	DefaultTLSPort = 5349
)

// Config has the options of a relay, which [Config.Register] defines as flags,
// and the other settings of a [Server]. Fields without a default must be set.
type Config struct {
	// On enables the broker's own relay. [Listen] ignores it.
	On bool
	// TURNServers and TURNSecretFile configure an external relay instead.
	TURNServers    []string
	TURNSecretFile string
	// Addr is the address of the API; [Open] derives the public address from it
	// if PublicIPs is empty.
	Addr net.Addr
	// Secret authenticates credentials; at least 16 bytes.
	Secret []byte
	// Host is the name in the certificate, for TURN over TLS.
	Host string
	// PublicIPs are the addresses by which peers reach the relay: one, or two of
	// one family, both of this machine, for all tests of RFC 5780.
	PublicIPs []netip.Addr
	// Port serves UDP and TCP, and the next port UDP for tests of NATs. 0 selects
	// free ports.
	Port uint16
	// TLS, if set, is served on TLSPort.
	TLS     *tls.Config
	TLSPort uint16
	// Shared, if set, is the API's listener. The relay serves TURN over TCP on
	// it, for networks that allow no other port. See [Server.API].
	Shared net.Listener
	// MinPort and MaxPort are the relayed ports. Default: 49152 to 49231.
	MinPort, MaxPort uint16
	// AllowPrivate relays to loopback and private addresses, for laboratories.
	AllowPrivate bool
	// MaxAllocations bounds the allocations of one job. Default: 12. Each peer
	// makes one for each of the four ways to reach the relay, and a second agent
	// may try.
	MaxAllocations int
	// MaxPerParty bounds the allocations of one user's jobs, and those from one
	// network. Default: half of the ports, but at least MaxAllocations.
	MaxPerParty int
	// JobKbps and TotalKbps bound the rate in each direction, in 1000 bits a
	// second. Defaults: 50 000 and 400 000.
	JobKbps, TotalKbps int
	// Registerer registers the metrics, unless it is nil.
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case len(c.Secret) < 16:
		return c, errors.New("relay: the secret is shorter than 16 bytes")
	case len(c.PublicIPs) < 1 || len(c.PublicIPs) > 2:
		return c, fmt.Errorf("relay: %d public addresses, want one or two", len(c.PublicIPs))
	case len(c.PublicIPs) == 2 && (c.PublicIPs[0].Is4() != c.PublicIPs[1].Is4() || c.PublicIPs[0] == c.PublicIPs[1]):
		return c, errors.New("relay: the two public addresses must differ and be of one family")
	case c.TLS != nil && c.Host == "":
		return c, errors.New("relay: TLS needs the name that its certificate is for")
	}
	for _, ip := range c.PublicIPs {
		if !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() {
			return c, fmt.Errorf("relay: %v is not an address that peers can reach", ip)
		}
	}
	orDefault(&c.MinPort, 49152)
	orDefault(&c.MaxPort, 49231)
	orDefault(&c.MaxAllocations, 12)
	orDefault(&c.MaxPerParty, max(c.MaxAllocations, (int(c.MaxPort)-int(c.MinPort)+1)/2))
	orDefault(&c.JobKbps, 50_000)
	orDefault(&c.TotalKbps, 400_000)
	if c.MinPort > c.MaxPort {
		return c, fmt.Errorf("relay: %d-%d is not a range of ports", c.MinPort, c.MaxPort)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

func orDefault[T int | uint16](v *T, fallback T) {
	if *v == 0 {
		*v = fallback
	}
}

// localHost returns the address to bind for a public address: the same one if
// this machine has it, and all addresses behind a one-to-one NAT.
func localHost(ip netip.Addr, local []netip.Addr) string {
	if slices.Contains(local, ip) {
		return ip.String()
	}
	if ip.Is4() {
		return netip.IPv4Unspecified().String()
	}
	return netip.IPv6Unspecified().String()
}

// localAddresses returns the addresses of this machine.
func localAddresses() ([]netip.Addr, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("relay: list this machine's addresses: %w", err)
	}
	var all []netip.Addr
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, p.Addr().Unmap())
		}
	}
	return all, nil
}
