package scheduler

import "math"

// reliability tracks how often an agent completes its jobs, and whether it seems
// to be broken. The two differ: an agent that fails one job in ten gets fewer
// jobs; one that has just failed three in a row gets none until it may have
// recovered.
type reliability struct {
	good, bad float64 // decayed counts
	at        int64   // of the last result, Unix nanoseconds
	// broken is the probability that the agent was broken at the last result.
	broken float64
	// firstFailure and lastFailure bound the present row of failures.
	firstFailure, lastFailure int64
}

const (
	rateMemory = 4 * 3600.0 // seconds in which counts fade to 1/e
	// farmRate is the share of successes that is expected of an unknown farm.
	farmRate = 0.97
	// shrink is the weight, in results, of the farm's rate in an agent's.
	shrink = 6.0
	// breaks is the probability that an agent breaks between two results, and
	// fluke that a broken one succeeds all the same.
	breaks = 0.01
	fluke  = 0.05
	// An agent whose probability of being broken is suspect or more rests. sure
	// bounds that probability: three good builds bring an agent back, however
	// often it has failed before.
	suspect = 0.5
	sure    = 0.999
	// An outage is expected to last as long again as it has lasted; the next trial
	// is minRest to maxRest seconds away.
	minRest, maxRest = 20.0, 240.0
)

// rate returns the expected share of successes of an agent that is not broken.
func (r *reliability) rate(farm float64) float64 {
	return (r.good + shrink*farm) / (r.good + r.bad + shrink)
}

// learn updates the reliability by a result. A failure lowers the rate only as far
// as the agent is believed not to be broken: an outage predicts nothing about the
// time after it.
func (r *reliability) learn(ok bool, farm float64, now int64) {
	if r.at != 0 && now > r.at {
		keep := math.Exp(-float64(now-r.at) / 1e9 / rateMemory)
		r.good *= keep
		r.bad *= keep
	}
	r.at = max(now, r.at)
	rate := min(r.rate(farm), 0.99)
	b := max(r.broken, breaks)
	if ok {
		r.broken = b * fluke / (b*fluke + (1-b)*rate)
		r.good++
		if r.broken < suspect {
			r.firstFailure, r.lastFailure = 0, 0
		}
		return
	}
	r.broken = min(b*(1-fluke)/(b*(1-fluke)+(1-b)*(1-rate)), sure)
	r.bad += 1 - r.broken
	if r.firstFailure == 0 {
		r.firstFailure = now
	}
	r.lastFailure = max(now, r.lastFailure)
}

// resting reports whether the agent gets no jobs for now: it seems to be broken,
// and either its rest is not over or a trial is under way.
//
// The rest is one draw from the posterior of how long the outage lasts, given how
// long it has lasted. Outages of unknown scale have a heavy tail, for which the
// median of the rest equals the time so far: the result is exponential back-off
// with jitter. The draw is the same until the next failure; a new draw at each
// call would make an early trial certain.
func (r *reliability) resting(salt uint64, inFlight int, now int64) bool {
	if r.broken < suspect {
		return false
	}
	if inFlight > 0 {
		return true
	}
	u := (float64(mix(salt^uint64(r.lastFailure))>>11) + 0.5) / (1 << 53)
	lasted := float64(r.lastFailure-r.firstFailure)/1e9 + minRest
	rest := min(max(lasted*(1/u-1), minRest), maxRest)
	return float64(now-r.lastFailure)/1e9 < rest
}
