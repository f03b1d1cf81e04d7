package scheduler

import (
	"math"
	"time"
)

// Start estimates how long a job has to wait in the lines of its candidates, given
// by fingerprint, with ahead jobs before it. It returns the shortest wait of any
// candidate, by the wait term of [api.Score] with ahead in place of the agent's
// own line: each job ahead takes the average time of the jobs that run there,
// divided by the number of jobs that fit side by side.
//
// It returns 0 if a candidate has room and no job is ahead, and if no candidate
// is known. Unknown candidates are skipped.
func (f *Farm) Start(candidates []string, n Need, ahead int, now time.Time) time.Duration {
	w := f.want(&n, now.UnixNano())
	least := math.Inf(1)
	for _, id := range candidates {
		m := f.member(id)
		if m == nil {
			continue
		}
		a := m.facts.Load()
		switch {
		case a == nil:
		case ahead <= 0 && a.hasRoom(&n):
			return 0
		default:
			mean, _ := w.speed(m.skill.Load())
			least = min(least, a.wait(&w, math.Exp(mean), float64(max(ahead, 0))))
		}
	}
	if math.IsInf(least, 1) {
		return 0
	}
	return time.Duration(least * float64(time.Second))
}

// Expect returns how long the job is expected to take on the agent.
func (f *Farm) Expect(fingerprint string, n Need, now time.Time) time.Duration {
	w := f.want(&n, now.UnixNano())
	seconds := math.Exp(w.size)
	if m := f.member(fingerprint); m != nil {
		k := m.skill.Load()
		seconds *= math.Exp(speedPrior.at(k.speed, w.now).mean)
		if w.proj != 0 && m.facts.Load().isWarm(w.name, find(k.projects, w.proj) != nil) {
			seconds *= math.Exp(w.warm)
		}
	}
	return time.Duration(seconds * float64(time.Second))
}
