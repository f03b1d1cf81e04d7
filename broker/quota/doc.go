// Package quota bounds what a network and what a user may request from a broker.
// It is memory only: a broker that restarts begins with full allowances.
//
// [Addresses] comes before authentication. It is a token bucket for each network,
// /24 of IPv4 and /56 of IPv6, because that is what one customer of a provider
// can hold. Its memory is bounded whatever arrives.
//
// [Accounts] comes behind it and counts by user. A job that is under way holds a
// [Room] in its user's account:
//
//	grant requested ───▶ Grant   grants a minute; is there room for a job?
//	offer arrives ─────▶ Take    one job, and the time of its session
//	client returns ────▶ Keep    the room lasts as long as the broker remembers the job
//	agent claims it ───▶ Begin   the session's time runs
//	claim ends early ──▶ Wait    nothing is charged; the job waits again
//	agent reports ─────▶ End     the time that ran is charged, and the room is free
//	job comes to nothing ▶ Drop  the room is free, nothing is charged
//	no report comes ───▶ ─       the same as End, when the session must be over
//
// The last line is why an agent that crashed, or a client that went away, cannot
// use up a user's allowance for ever. A session that runs over midnight UTC is
// charged to each day for what ran in it.
package quota
