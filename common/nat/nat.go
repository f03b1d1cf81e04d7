// Package nat finds out what kind of NAT a machine is behind, in the terms of
// RFC 4787 and by the tests of RFC 5780, and judges which two can meet.
//
//	mapping    does the NAT use one outside port for all destinations?
//	             independent  yes: what a STUN server sees is what all see
//	             address      one for each address
//	             port         one for each address and port ("symmetric")
//	filtering  whom does it let in through that port?
//	             independent  anybody
//	             address      addresses that were sent to
//	             port         addresses and ports that were sent to
//
// A machine without a NAT is "open" if nothing is filtered. A NAT's text form is
// mapping/filtering, such as "independent/port", or "open", "blocked" (no UDP at
// all), or empty: unknown. It goes into polls and grant requests. It tells
// nothing else about the network.
package nat

import "strings"

// Dependence is on how much of a destination a behaviour depends.
type Dependence string

// The dependences.
const (
	Unknown     Dependence = ""
	Independent Dependence = "independent"
	Address     Dependence = "address"
	Port        Dependence = "port"
)

// NAT is what is known of one. The zero value is nothing.
type NAT struct {
	// Blocked: no UDP gets through.
	Blocked bool
	// Open: there is no NAT, and nothing is filtered.
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

// Parse reads the text form. What it does not understand is unknown: newer
// peers may say more.
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

// CanMeet tells whether two peers can be expected to find a direct way when both
// send to what a STUN server has seen of the other. What is unknown is hoped
// for: the relay is still there. It is symmetric.
//
//	                    b: independent   address or port
//	a: independent         yes           if a lets in whom it has sent to by address
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
		// b's packets come from a port that nobody knows before.
		return a.Filtering != Port
	case bFixed:
		return b.Filtering != Port
	default:
		return false
	}
}
