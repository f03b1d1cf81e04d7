// Package relay is the broker's own STUN and TURN server (RFC 8489, RFC 8656):
// the last resort for two peers that find no direct way to each other. What it
// passes on is DTLS between the peers; it can neither read nor change it.
//
//	client ── UDP or TCP 3478, TLS 5349, TCP on the API's port ──▶ relay ◀── … ── agent
//	            allocation on one port of --relay-ports
//
// # Who may use it
//
// Only peers of a job. The broker makes credentials for each job in the form
// that coturn and others share (draft-uberti-behave-turn-rest): the user is
// "EXPIRY:JOB" and the password an HMAC of it, so that nothing is remembered.
// They go out with the grant and with the job, and outlive neither by much. A
// job has few allocations and a bounded rate; what is too much is dropped, as
// a congested link would.
//
// # Where it sends
//
// Never to this machine's own network: loopback, link-local, multicast, private
// and reserved ranges are refused, and on the relay's own address every port
// that is not a relayed one. Else a relay would be a way around the firewall
// that it stands behind.
//
// # Finding out about NATs
//
// A second port, one above the first, answers STUN only. A peer that asks both
// sees whether its NAT maps it to one address or to several, and OTHER-ADDRESS
// and CHANGE-REQUEST of RFC 5780 are understood. With two public addresses all
// tests of that document can be made; with one, OTHER-ADDRESS repeats the
// address and differs in the port alone.
package relay
