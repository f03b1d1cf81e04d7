package peer

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/pion/ice/v4"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/nat"
)

const (
	// maxOwn bounds the candidates of this end, so that the other end and
	// the broker accept all of them and the message that ends them.
	maxOwn = api.MaxTrickled - 1
	// maxStrangers bounds the distinct global addresses that this end sends
	// checks to before the two ends are connected. A host with several IPv6
	// addresses, an IPv4 NAT and two relays has fewer.
	maxStrangers = 8
	// maxNeighbors does so for addresses of a shared network, where virtual
	// machines and containers give a host many.
	maxNeighbors = 16
)

// errUnwanted is wrapped by the error of a candidate that is passed over. Any
// other error is a fault of the other end.
var errUnwanted = errors.New("passed over a candidate")

// gate judges the other end's candidates before ICE sees them, because ICE sends
// packets to each: a hostile client would aim an agent at strangers, or at
// machines in the agent's own network.
type gate struct {
	// loopback admits addresses of this machine and no others.
	loopback bool
	// foreign: the two ends share no network, so private addresses are refused.
	foreign bool

	count                int
	strangers, neighbors map[netip.Addr]bool
}

// admit returns nil for a candidate that ICE may have.
func (g *gate) admit(candidate string) error {
	if g.count++; g.count > api.MaxTrickled {
		return fmt.Errorf("the other end has more than %d candidates", api.MaxTrickled)
	}
	c, err := ice.UnmarshalCandidate(strings.TrimPrefix(candidate, "candidate:"))
	switch {
	case errors.Is(err, ice.ErrUnknownCandidateTyp), errors.Is(err, ice.ErrDetermineNetworkType):
		return fmt.Errorf("%w: %w", errUnwanted, err)
	case err != nil:
		return err
	case !c.NetworkType().IsUDP():
		return fmt.Errorf("%w: it is for %s", errUnwanted, c.NetworkType())
	}
	ip, err := netip.ParseAddr(c.Address())
	if err != nil {
		return fmt.Errorf("%w: it has a name instead of an address", errUnwanted)
	}
	ip = ip.Unmap()
	scope := nat.ScopeOf(ip)
	switch {
	case c.Port() == 0:
		return fmt.Errorf("%w: it has no port", errUnwanted)
	case g.loopback != (scope == nat.Loopback), scope == nat.Special, g.foreign && scope == nat.Private:
		return fmt.Errorf("%w: this end does not connect to the address %s", errUnwanted, ip)
	case scope == nat.Private:
		return within(&g.neighbors, ip, maxNeighbors)
	}
	return within(&g.strangers, ip, maxStrangers)
}

// within adds the address to a set of limited size.
func within(set *map[netip.Addr]bool, ip netip.Addr, most int) error {
	if (*set)[ip] {
		return nil
	}
	if len(*set) >= most {
		return fmt.Errorf("%w: it has one address more than %d", errUnwanted, most)
	}
	if *set == nil {
		*set = map[netip.Addr]bool{}
	}
	(*set)[ip] = true
	return nil
}

// hideLocal takes addresses of the local network out of a candidate attribute
// (RFC 8839, section 5.1). It returns false for one that has no other address.
//
//	candidate:1 1 udp 16777 203.0.113.9 4711 typ srflx raddr 10.0.0.2 rport 4000
//	                        address                          base
func hideLocal(candidate string) (string, bool) {
	fields := strings.Fields(candidate)
	if len(fields) < 8 {
		return candidate, candidate == "candidate:" || candidate == ""
	}
	ip, err := netip.ParseAddr(fields[4])
	if err != nil || (nat.ScopeOf(ip) != nat.Global && fields[7] == "host") {
		return "", false
	}
	for i := 8; i+1 < len(fields); i += 2 {
		switch fields[i] {
		case "raddr": // section 5.1 names the value for a private base
			if ip.Is4() {
				fields[i+1] = "0.0.0.0"
			} else {
				fields[i+1] = "::"
			}
		case "rport":
			fields[i+1] = "9"
		}
	}
	return strings.Join(fields, " "), true
}
