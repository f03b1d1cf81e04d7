package scheduler

import (
	"math"
	"time"
)

// Start is how long it should take until a job could start that stands in the
// lines of these candidates, given by fingerprint, with ahead jobs before it:
// the least that any of them would let it wait, by the wait term of [Score]
// with ahead in place of its own line. Each job ahead takes the average time of
// what runs there, shared among the jobs that fit side by side.
//
// It is 0 if one of them has room and nobody is ahead. Agents that are not
// known are passed over; it is 0, too, if none is known.
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
