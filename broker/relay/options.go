package relay

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/broker/disk"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
)

// maxSecretFile bounds the file with an external server's secret, in bytes.
const maxSecretFile = 4096

// Register defines the flags and their defaults.
func (c *Config) Register(f *pflag.FlagSet) {
	f.BoolVar(&c.On, "relay", false, "serve STUN and TURN for peers without a direct way")
	cli.ListVar(f, &c.PublicIPs, "relay-public-ip", ",", parseIP, "name the `IP` where peers reach the relay; two complete NAT tests")
	f.Uint16Var(&c.Port, "relay-port", DefaultPort, "relay on this UDP and TCP `PORT`; the next UDP port tests NATs")
	f.Uint16Var(&c.TLSPort, "relay-tls-port", DefaultTLSPort, "relay over TLS on this `PORT`, with the broker's certificate")
	c.MinPort, c.MaxPort = 49152, 49231
	f.Var(&portRange{&c.MinPort, &c.MaxPort}, "relay-ports", "relay on the UDP ports in this `RANGE`; a job takes up to eight")
	f.IntVar(&c.JobKbps, "relay-kbps", 50_000, "relay at most `N` kilobits a second for a job, in each direction")
	f.BoolVar(&c.AllowPrivate, "relay-allow-private", false, "relay to private addresses too; never use it on a public host")
	f.StringArrayVar(&c.TURNServers, "turn-server", nil, "offer peers the TURN server at this `URL`; may be repeated")
	f.StringVar(&c.TURNSecretFile, "turn-secret-file", "", "read the secret of --turn-server from this `FILE`")
}

// Validate reports the first wrong option.
func (c *Config) Validate() error {
	switch external := len(c.TURNServers) > 0; {
	case !c.On && (c.AllowPrivate || len(c.PublicIPs) > 0):
		return cli.Usagef("--relay-public-ip and --relay-allow-private configure the relay, which is off").Hint("add --relay")
	case external != (c.TURNSecretFile != ""):
		return cli.Usagef("--turn-server and --turn-secret-file need each other").Hint("give both")
	case c.On && external:
		return cli.Usagef("--relay and --turn-server exclude each other").Hint("remove one of the two")
	case len(c.PublicIPs) > 2:
		return cli.Usagef("--relay-public-ip is given more than twice").Hint("one address is enough; two complete the tests of NATs")
	}
	for _, u := range c.TURNServers {
		if !strings.HasPrefix(u, "turn:") && !strings.HasPrefix(u, "turns:") {
			return cli.Usagef("--turn-server: %q is not a TURN URL", u).Hint("give a URL such as turn:turn.example.org:3478?transport=udp")
		}
	}
	return cmp.Or(cli.Require(!c.On || c.JobKbps > 0, "--relay-kbps", "more than 0"))
}

// Service is a relay that a broker offers to the peers of its jobs.
type Service interface {
	// ICEServers returns the servers for a job of the owner, with credentials
	// that are valid for the given life.
	ICEServers(jobID, owner string, life time.Duration) []api.ICEServer
}

// Open starts the relay of the options. It returns nil if there is none, a
// *[Server] for the broker's own, and an [External] otherwise. The caller fills
// in the fields that Register does not set; the relay derives its own key from
// Secret.
func Open(c Config) (Service, error) {
	switch {
	case len(c.TURNServers) > 0:
		text, _, err := disk.ReadSecret(c.TURNSecretFile, maxSecretFile)
		if err != nil {
			return nil, cli.Usagef("--turn-secret-file: %w", err)
		}
		shared := []byte(strings.TrimSpace(string(text)))
		if len(shared) == 0 {
			return nil, cli.Usagef("--turn-secret-file: the file is empty")
		}
		return External{Secret: shared, URLs: c.TURNServers}, nil
	case !c.On:
		return nil, nil
	}
	if len(c.PublicIPs) == 0 {
		ip, err := publicIP(c.Addr)
		if err != nil {
			return nil, err
		}
		c.PublicIPs = []netip.Addr{ip}
	}
	mac := hmac.New(sha256.New, c.Secret)
	mac.Write([]byte("farforge relay v1"))
	c.Secret = mac.Sum(nil)
	s, err := Listen(c)
	if err != nil {
		return nil, cli.Fail(cli.Usage, err, "end the program that listens there, or choose other ports with --relay-port and --relay-tls-port")
	}
	return s, nil
}

// publicIP returns the address that the API listens on, or else this machine's
// only public one.
func publicIP(api net.Addr) (netip.Addr, error) {
	if at, err := netip.ParseAddrPort(api.String()); err == nil && !at.Addr().IsUnspecified() {
		return at.Addr().Unmap(), nil
	}
	addrs, err := localAddresses()
	if err != nil {
		return netip.Addr{}, cli.Usagef("--relay: %w", err)
	}
	var found []netip.Addr
	for _, a := range addrs {
		if a.Is4() && a.IsGlobalUnicast() && !a.IsPrivate() {
			found = append(found, a)
		}
	}
	if len(found) != 1 {
		return netip.Addr{}, cli.Usagef("--relay: this machine has %d public IPv4 addresses, so the broker cannot tell where peers reach it", len(found)).
			Hint("name the address with --relay-public-ip")
	}
	return found[0], nil
}

func parseIP(text string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return ip, cli.Fail(cli.Usage, err, "give an address such as 203.0.113.7")
	}
	return ip.Unmap(), nil
}

// portRange is the value of a flag such as 49152-49231.
type portRange struct{ low, high *uint16 }

// Set parses LOW-HIGH.
func (r *portRange) Set(text string) error {
	from, to, _ := strings.Cut(text, "-")
	low, err := strconv.ParseUint(from, 10, 16)
	high, err2 := strconv.ParseUint(to, 10, 16)
	if err != nil || err2 != nil || low == 0 || low > high {
		return cli.Usagef("%q is not a range of ports", text).Hint("give a range such as 49152-49231")
	}
	*r.low, *r.high = uint16(low), uint16(high)
	return nil
}

// String and Type make portRange the value of a flag.
func (r *portRange) String() string {
	if r.low == nil {
		return ""
	}
	return fmt.Sprintf("%d-%d", *r.low, *r.high)
}

// Type names the kind of value in a command's help.
func (r *portRange) Type() string { return "range" }
