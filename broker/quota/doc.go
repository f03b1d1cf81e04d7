// Package quota bounds what a network and what a user may ask of a broker. It
// is memory only: a broker that is started again begins with full allowances.
//
// [Addresses] comes before authentication. It is a token bucket for each
// network, /24 of IPv4 and /56 of IPv6, because that is what one customer of a
// provider can hold. Its memory is bounded whatever arrives.
//
// [Accounts] comes behind it and counts by user:
//
//	grant asked for ─▶ Grant   grants a minute; is there room for a job?
//	offer arrives ───▶ Offer   takes the room: one job, its session's time
//	agent claims it ─▶ Claim   the session's time runs
//	no agent yet ────▶ Wait    it waits on, for as long as the broker remembers it
//	it fails ────────▶ Drop    gives the room back, charges nothing
//	agent reports ───▶ End     gives the room back, charges the time used
//	nobody reports ──▶ ─       the same once the session must be over
//
// The last line is why an agent that crashed, or a client that went away,
// cannot use up a user's allowance for ever.
package quota
