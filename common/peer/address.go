package peer

import (
	"net/netip"
	"strings"

	"github.com/pion/sdp/v3"
)

// carrierNAT are addresses behind a provider's NAT (RFC 6598).
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

// isLocal tells whether an address means something only in its own network,
// and so tells others about that network.
func isLocal(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || carrierNAT.Contains(ip)
}

// hideLocal takes local addresses out of a candidate attribute (RFC 8839,
// section 5.1). It returns false for one that is nothing else.
//
//	candidate:1 1 udp 16777 203.0.113.9 4711 typ srflx raddr 10.0.0.2 rport 4000
//	                        address                          base
func hideLocal(candidate string) (string, bool) {
	fields := strings.Fields(candidate)
	if len(fields) < 8 {
		return candidate, candidate == "candidate:" || candidate == ""
	}
	ip, err := netip.ParseAddr(fields[4])
	if err != nil || (isLocal(ip) && fields[7] == "host") {
		return "", false
	}
	for i := 8; i+1 < len(fields); i += 2 {
		switch fields[i] {
		case "raddr": // section 5.1: what to say when the base is private
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

// hideLocalSDP does the same to a whole description.
func hideLocalSDP(text string) (string, error) {
	var s sdp.SessionDescription
	if err := s.UnmarshalString(text); err != nil {
		return "", err
	}
	for _, m := range s.MediaDescriptions {
		kept := m.Attributes[:0]
		for _, a := range m.Attributes {
			if a.Key == "candidate" {
				value, ok := hideLocal(a.Value)
				if !ok {
					continue
				}
				a.Value = value
			}
			kept = append(kept, a)
		}
		m.Attributes = kept
	}
	out, err := s.Marshal()
	return string(out), err
}
