// Package nat finds out what kind of NAT a machine is behind, in the terms of
// RFC 4787 and by the tests of RFC 5780, and decides which two NATs allow a direct
// connection.
//
//	mapping    does the NAT use one outside port for all destinations?
//	             independent  yes: every destination sees what a STUN server sees
//	             address      one for each address
//	             port         one for each address and port ("symmetric")
//	filtering  which packets does it forward through that port?
//	             independent  all
//	             address      those from addresses that were sent to
//	             port         those from addresses and ports that were sent to
//
// A machine without a NAT is "open" if nothing is filtered. A NAT's text form is
// mapping/filtering, such as "independent/port", or "open", "blocked" (no UDP at
// all), or empty (unknown). Polls and grant requests carry it, and nothing else
// about the network.
package nat

import "strings"

// Dependence is the part of a destination that a NAT's behavior depends on.
type Dependence string

// The dependences.
const (
	Unknown     Dependence = ""
	Independent Dependence = "independent"
	Address     Dependence = "address"
	Port        Dependence = "port"
)

// NAT is the behavior of a NAT. The zero value is an unknown one.
type NAT struct {
	// Blocked: no UDP gets through.
	Blocked bool
	// Open: no NAT and no filter.
	Open      bool
	Mapping   Dependence
	Filtering Dependence
}

// String returns the text form.
func (n NAT) String() string {
	switch {
	case n.Blocked:
		return "blocked"
	case n.Open:
		return "open"
	case n.Mapping == Unknown && n.Filtering == Unknown:
		return ""
	}
	return word(n.Mapping) + "/" + word(n.Filtering)
}

func word(d Dependence) string {
	if d == Unknown {
		return "unknown"
	}
	return string(d)
}

// Parse reads the text form. It reads words that it does not know, which newer
// peers may send, as Unknown.
func Parse(text string) NAT {
	switch text {
	case "blocked":
		return NAT{Blocked: true}
	case "open":
		return NAT{Open: true, Mapping: Independent, Filtering: Independent}
	}
	mapping, filtering, _ := strings.Cut(text, "/")
	return NAT{Mapping: dependence(mapping), Filtering: dependence(filtering)}
}

func dependence(text string) Dependence {
	switch d := Dependence(text); d {
	case Independent, Address, Port:
		return d
	}
	return Unknown
}

// CanMeet reports whether two peers are expected to connect directly when each
// sends to the address that a STUN server has seen of the other. An unknown NAT is
// assumed to allow it, since the relay remains. It is symmetric.
//
//	                    b: independent   address or port
//	a: independent         yes           if a filters by address at most
//	   address or port     the same      no
func CanMeet(a, b NAT) bool {
	if a.Blocked || b.Blocked {
		return false
	}
	aFixed, bFixed := a.Mapping == Independent || a.Mapping == Unknown, b.Mapping == Independent || b.Mapping == Unknown
	switch {
	case aFixed && bFixed:
		return true
	case aFixed:
		// b's packets come from a port that is not known before.
		return a.Filtering != Port
	case bFixed:
		return b.Filtering != Port
	default:
		return false
	}
}
