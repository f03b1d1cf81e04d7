package scheduler

import "math"

// estimate is the belief about one quantity: a normal distribution of the
// logarithm of a duration, or of one factor in it. The zero value is the prior.
type estimate struct {
	mean, variance float64
	at             int64 // Unix nanoseconds of the last observation; 0 is never
}

// prior is the belief before any observation: the factor is 1, with some variance.
// Beliefs age in one of two ways.
//
// A machine's factor drifts, so its mean returns to 1 and its variance to the
// prior's, as in an Ornstein-Uhlenbeck process.
//
// The size of work does not drift (lasting): the mean stays, and only the variance
// grows. A farm that took 20 minutes for each build expects 20 minutes after a
// holiday, too, and is quick to learn otherwise.
type prior struct {
	variance float64
	memory   float64 // time constant in seconds
	lasting  bool
}

// The priors. Their memories differ as the causes of change do: a machine's speed
// changes within hours (heat, other work), the size of a project within days.
var (
	sizePrior    = prior{variance: 4, memory: 30 * 24 * 3600, lasting: true}
	kindPrior    = prior{variance: 0.5, memory: 30 * 24 * 3600, lasting: true}
	projectPrior = prior{variance: 1, memory: 7 * 24 * 3600, lasting: true}
	warmPrior    = prior{variance: 0.5, memory: 30 * 24 * 3600, lasting: true}
	speedPrior   = prior{variance: 0.3, memory: 3 * 3600}
	ownKindPrior = prior{variance: 0.01, memory: 12 * 3600}
	ownPrior     = prior{variance: 0.01, memory: 12 * 3600}
)

// at returns the estimate aged to now.
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

// noise is the variance of the logarithm of a duration when all terms are known
// exactly: about 30 % up or down.
const noise = 0.09

// observe corrects the terms by the error of their sum, each in proportion to its
// own variance: the Kalman filter's update for a sum, without the correlations
// between the terms. A level with thin data learns fast and hardly changes the
// levels above it; a well-known level hardly moves. That is also the shrinkage:
// a new agent inherits the farm's estimates until its own results differ.
//
// An observation beyond three deviations means that something has changed: the
// variances grow until it is likely, so that one or two more results decide.
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
