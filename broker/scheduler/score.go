package scheduler

import (
	"math"
	"math/rand/v2"

	"github.com/farforge/farforge/common/api"
)

// wanted is the part of a score that depends on the job and not on the agent.
type wanted struct {
	need       *Need
	kind, proj uint64
	project    *project // nil: unknown
	name       uint64   // of the project, for any kind
	size       float64  // logarithm of the seconds on an average agent
	seconds    float64  // expected on an average agent: more than exp(size), as durations are skewed
	warm       float64  // logarithm of the factor of a warm workspace
	lost       float64
	typical    float64 // seconds of any job of this kind on an average agent
	farmRate   float64
	now        int64
	// exploration scales the draws. Thompson's rule draws from the whole posterior
	// (1), but to explore is worth its cost only with idle capacity: this is the
	// share of agents that have room. Nothing is drawn for an agent that the job
	// would have to wait for.
	exploration float64
}

func (f *Farm) want(n *Need, now int64) wanted {
	w := wanted{need: n, kind: kindKey(n.Target, n.Toolchain.Name), now: now}
	w.name = f.ProjectKey(n.Project)
	w.proj = projectKey(w.kind, w.name)
	w.size = math.Log(60)
	b := f.beliefs.Load()
	if b.size.at != 0 {
		w.size = sizePrior.at(b.size, now).mean
	}
	if k := b.kind(w.kind); k != nil {
		w.size += kindPrior.at(k.size, now).mean
		w.warm = warmPrior.at(k.warm, now).mean
		w.lost = k.lost
	}
	w.typical = math.Exp(w.size + w.warm)
	w.project = f.project(w.proj)
	if p := w.project; p != nil {
		w.size += projectPrior.at(p.size, now).mean
	}
	if w.lost == 0 {
		w.lost = math.Exp(w.size) / 2
	}
	w.seconds = math.Exp(w.size + noise/2)
	w.farmRate = b.rel.rate(farmRate)
	return w
}

// score rates one agent. It does not allocate.
func (w *wanted) score(m *member, a *facts, rnd *rand.Rand) (s api.Score) {
	k := m.skill.Load()
	mean, doubt := w.speed(k)
	s.Speed, s.Warmth = math.Exp(mean), 1
	if w.proj != 0 && (!a.announces || a.isWarm(w.name, false)) {
		own, warm := 0.0, a.announces
		if c := find(k.projects, w.proj); c != nil {
			warm = true
			e := ownPrior.at(c.e, w.now)
			own = e.mean
			doubt += e.variance
		}
		if warm {
			s.Warmth = math.Exp(w.warm + own)
		}
	}
	s.Doubt = math.Sqrt(doubt)
	if !a.hasRoom(w.need) {
		s.Wait = a.wait(w, s.Speed, m.line())
	}
	explore := w.exploration
	if s.Wait > 0 {
		explore = 0
	}
	s.Luck = 1
	if explore > 0 {
		s.Luck = math.Exp(explore * s.Doubt * rnd.NormFloat64())
	}
	s.Duration = w.seconds * s.Speed * s.Warmth * s.Luck
	s.Lost = w.lost

	// The Beta posterior of the success rate, drawn as the normal distribution
	// of its mean and variance: two gamma draws would cost ten times as much.
	rate := k.rel.rate(w.farmRate)
	weight := k.rel.good + k.rel.bad + shrink
	if explore > 0 {
		rate += explore * rnd.NormFloat64() * math.Sqrt(rate*(1-rate)/(weight+1))
	}
	s.Success = min(max(rate, 0.01), 1)
	if s.Resting = m.resting(a, w.now); s.Resting {
		s.Success = 1e-6 // ranks behind all others, however long those are busy
	}
	s.Expected = (s.Wait + s.Success*s.Duration + (1-s.Success)*s.Lost) / s.Success
	return s
}

// speed returns the logarithm of the factor that the agent itself has in a build's
// time, and its variance.
func (w *wanted) speed(k *skill) (mean, doubt float64) {
	e, own := speedPrior.at(k.speed, w.now), estimate{variance: ownKindPrior.variance}
	if c := find(k.kinds, w.kind); c != nil {
		own = ownKindPrior.at(c.e, w.now)
	}
	return e.mean + own.mean, e.variance + own.variance
}

// hasRoom reports whether a job would start at once.
func (a *facts) hasRoom(need *Need) bool {
	return a.parked && a.free.Fits(need.Capacity)
}

// wait returns how many seconds the job has to wait: until enough running jobs
// should be done, and then for the jobs before it in line.
func (a *facts) wait(w *wanted, speed, line float64) float64 {
	left, need, held := a.free, w.need.Capacity, a.held
	lanes := max(float64(a.total.Times(need)), 1)
	// Waiting jobs are expected to be like the running ones.
	average := w.typical * speed
	for i := range held {
		average += (held[i].Done.Sub(held[i].Since).Seconds() - average) / float64(i+1)
	}
	// Take the soonest ends, as many as are needed; few jobs run on one agent. Load
	// from outside of Farforge is assumed to last as long as an average job.
	var seconds float64
	var taken uint64
	for !left.Fits(need) {
		next, at := -1, math.Inf(1)
		for i := range min(len(held), 64) {
			if taken&(1<<i) != 0 {
				continue
			}
			// A job that is due can end at any moment. The longer it is overdue,
			// the more likely the estimate was wrong: assume that it takes as long
			// again as it is late.
			expected := held[i].Done.Sub(held[i].Since).Seconds()
			due := float64(held[i].Done.UnixNano()-w.now) / 1e9
			rest := max(due, -due, expected/10)
			if rest < at {
				next, at = i, rest
			}
		}
		if next < 0 {
			seconds = max(seconds, average)
			break
		}
		taken |= 1 << next
		left = left.Plus(held[next].Need)
		seconds = at
	}
	return seconds + average*line/lanes
}
