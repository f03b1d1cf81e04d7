package scheduler

import "math"

// reliability is how often an agent brings a job to its end, and whether it
// seems to be out of order altogether. The two differ: an agent that loses one
// job in ten is used with care, one that has just lost three in a row is not
// used at all until it may be well again.
type reliability struct {
	good, bad float64 // decayed counts
	at        int64   // of the last result, Unix nanoseconds
	// broken is the probability that it was out of order at the last result.
	broken float64
	// firstFailure and lastFailure bound the row of failures that it is in.
	firstFailure, lastFailure int64
}

const (
	rateMemory = 4 * 3600.0 // seconds in which counts fade to 1/e
	// farmRate is the share of successes that is expected of an unknown farm.
	farmRate = 0.97
	// shrink is the weight, in results, of the farm's rate in an agent's.
	shrink = 6.0
	// breaks is the chance that an agent breaks between two results, and
	// fluke that a broken one succeeds all the same.
	breaks = 0.01
	fluke  = 0.05
	// suspect is the probability from which an agent is taken as broken, and
	// sure the most that is ever believed: three good builds bring an agent back,
	// however often it has failed before.
	suspect = 0.5
	sure    = 0.999
	// An outage is believed to last as long again as it has lasted, but at
	// least minRest and at most maxRest seconds until the next trial.
	minRest, maxRest = 20.0, 240.0
)

// rate is the expected share of successes while the agent is in order.
func (r *reliability) rate(farm float64) float64 {
	return (r.good + shrink*farm) / (r.good + r.bad + shrink)
}

// learn takes a result in. A failure counts against the rate only as far as
// the agent is believed to be in order: an outage says nothing of the time
// after it.
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

// resting tells whether the agent is to be left alone for now: it is believed
// to be broken, and either its rest is not over or a trial is under way.
//
// The rest is one draw from the posterior of how long the outage lasts, given
// that it has lasted so far. Outages of unknown scale have a heavy tail, for
// which the median of the rest equals the time so far: this is exponential
// back-off with jitter, come by honestly. The draw is kept until there is
// news, or else frequent questions would make an early trial certain.
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
