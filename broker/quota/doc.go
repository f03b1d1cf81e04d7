// Package quota limits the requests of networks and users to a broker. All counts
// are in memory: after a restart every allowance is full.
//
// [Addresses] limits requests before authentication. It has a token bucket for
// each network, a /24 of IPv4 or a /56 of IPv6, because one customer of a
// provider can hold as much. Its memory is bounded.
//
// [Accounts] limits authenticated requests and counts by user. A job that is
// under way holds a [Room] in its user's account:
//
//	grant requested ───▶ Grant   grants a minute; is there room for a job?
//	offer arrives ─────▶ Take    one job, and the time of its session
//	client returns ────▶ Keep    the room lasts as long as the broker remembers the job
//	agent claims it ───▶ Begin   the session's time runs
//	claim ends early ──▶ Wait    nothing is charged; the job waits again
//	agent reports ─────▶ End     the time that ran is charged, and the room is free
//	job is given up ───▶ Drop    the room is free, nothing is charged
//	no report comes ───▶ ─       the same as End, when the session must be over
//
// Because of the last line, a crashed agent or a client that went away cannot use
// up a user's allowance forever. A session that runs over midnight UTC is charged
// to both days, to each for its own part.
package quota
