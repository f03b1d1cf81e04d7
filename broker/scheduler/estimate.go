package scheduler

import "math"

// estimate is what is believed of one quantity: a normal distribution of the
// logarithm of a duration, or of one factor in it. The zero value knows
// nothing.
type estimate struct {
	mean, variance float64
	at             int64 // Unix nanoseconds of the last observation; 0 is never
}

// prior is what is believed before any observation: the factor is 1, give or take
// spread. Evidence grows old in one of two ways.
//
// What a machine does to a time changes by itself: its factor goes back to 1, as
// an Ornstein-Uhlenbeck process does, which is the exponential decay of old
// evidence and the growth of doubt in one.
//
// What the work itself takes stays as it was seen (lasting), and only the doubt
// grows: a farm that has built for 20 minutes each time expects 20 minutes after
// a holiday, too, but believes the first result that says otherwise.
type prior struct {
	variance float64
	memory   float64 // time constant in seconds
	lasting  bool
}

// The priors. The memories differ as the causes do: a machine's speed changes
// within hours (heat, other work), the size of a project within days.
var (
	sizePrior    = prior{variance: 4, memory: 30 * 24 * 3600, lasting: true}
	kindPrior    = prior{variance: 0.5, memory: 30 * 24 * 3600, lasting: true}
	projectPrior = prior{variance: 1, memory: 7 * 24 * 3600, lasting: true}
	warmPrior    = prior{variance: 0.5, memory: 30 * 24 * 3600, lasting: true}
	speedPrior   = prior{variance: 0.3, memory: 3 * 3600}
	ownKindPrior = prior{variance: 0.01, memory: 12 * 3600}
	ownPrior     = prior{variance: 0.01, memory: 12 * 3600}
)

// at returns what an estimate has become by now.
func (p prior) at(e estimate, now int64) estimate {
	if e.at == 0 {
		return estimate{0, p.variance, 0}
	}
	age := float64(now-e.at) / 1e9 / p.memory
	if age <= 0 {
		return e
	}
	keep := 1 - age
	if age > 1e-3 {
		keep = math.Exp(-age)
	}
	mean := e.mean
	if !p.lasting {
		mean *= keep
	}
	return estimate{mean, p.variance - (p.variance-e.variance)*keep*keep, e.at}
}

// term is one estimate in a sum that predicts the logarithm of a duration.
type term struct {
	prior prior
	e     *estimate
}

// noise is the variance of the logarithm of a duration when everything that
// the terms stand for is known: about 30 % up or down.
const noise = 0.09

// observe corrects the terms by what their sum was off by, each in proportion
// to its own doubt: the Kalman filter's update for a sum, without the
// correlations between the terms. So a level with thin data learns fast and
// leaves the levels above it alone, and one that is known hardly moves. That
// is also the shrinkage: what a new agent is not known to differ in, it takes
// from the farm.
//
// An observation beyond three deviations says that something has changed:
// doubt is raised to what makes it likely, so that one or two more settle it.
func observe(y float64, terms []term, now int64) {
	off, doubt := y, noise
	for _, t := range terms {
		*t.e = t.prior.at(*t.e, now)
		off -= t.e.mean
		doubt += t.e.variance
	}
	if surprise := off * off / doubt; surprise > 9 {
		grow := surprise / 9
		doubt = noise
		for _, t := range terms {
			t.e.variance = min(t.e.variance*grow, t.prior.variance)
			doubt += t.e.variance
		}
	}
	for _, t := range terms {
		gain := t.e.variance / doubt
		t.e.mean += gain * off
		t.e.variance *= 1 - gain
		t.e.at = now
	}
}
