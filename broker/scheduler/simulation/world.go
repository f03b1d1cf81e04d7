// Package simulation simulates days of a build farm in seconds, event by event, with
// the broker's real scheduler and directory, to measure how well it chooses.
//
//	arrival ─▶ policy.choose ─▶ first candidate with room ─▶ runs ─▶ built
//	              ▲                 none: the lines of all         └▶ failed ─┐
//	              └───────────────────────────────────────────────────────────┘
//
// A world is made from a seed before the run: agents with their speeds, slots and
// faults, projects with their sizes, arrivals, and the luck of each attempt. Every
// policy runs in the same world under the broker's rules: a job goes to the first
// of its candidates that has room, or waits in the lines of all of them; an agent
// that becomes free takes the oldest job in its line.
package simulation

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Setting describes a world.
type Setting struct {
	Agents int
	Jobs   int
	// Load is the arriving work, as a share of what all agents could do if every
	// other build had a warm workspace.
	Load   float64
	Bursty bool
	// Drift lets agents become slow, break and recover.
	Drift bool
	// Break, from 0 to 1, is the share of the run after which the busiest of
	// the fast agents breaks; it recovers after a quarter of the run. 0: none.
	Break float64
	Seed  uint64
}

// machine is the true state of one agent.
type machine struct {
	slots    int
	speed    float64
	reliable float64
	faults   []fault
}

// fault is a time in which a machine works slowly or, with slow = 0, not at all.
type fault struct{ from, to, slow float64 }

// order is one future job.
type order struct {
	at      float64 // seconds
	project int
	luck    uint64
}

type world struct {
	Setting
	machines []machine
	sizes    []float64 // of projects, in seconds on a machine of speed 1
	orders   []order
	victim   int // the machine that breaks, or -1
	end      float64
}

const (
	spread      = 0.25     // deviation of the logarithm of one build's time
	meanLuck    = 1.031743 // e^(spread²/2), the mean factor of luck in a build's time
	warmFactor  = 0.4      // factor of a build in a warm workspace
	warmShare   = 0.5
	warmRoom    = 12  // workspaces that a machine keeps
	failsWithin = 2.0 // seconds until a broken machine fails a job
)

func newWorld(s Setting) *world {
	rnd := rand.New(rand.NewPCG(s.Seed, uint64(s.Agents)))
	w := &world{Setting: s, victim: -1}
	capacity := 0.0
	for range s.Agents {
		m := machine{
			slots:    []int{1, 2, 2, 4, 4, 8}[rnd.IntN(6)],
			speed:    math.Exp(0.5 * rnd.NormFloat64()),
			reliable: 0.995,
		}
		if rnd.IntN(8) == 0 {
			m.reliable = 0.7 + 0.25*rnd.Float64()
		}
		w.machines = append(w.machines, m)
		capacity += float64(m.slots) * m.speed
	}
	projects := 4 * s.Agents
	mean, weights := 0.0, 0.0
	zipf := make([]float64, projects) // cumulative
	for p := range projects {
		size := 60 * math.Exp(0.8*rnd.NormFloat64()-0.32)
		w.sizes = append(w.sizes, size)
		weight := 1 / math.Pow(float64(p+1), 0.9)
		weights += weight
		mean += weight * size
		zipf[p] = weights
	}
	mean *= meanLuck / weights * (1 - warmShare*(1-warmFactor))
	w.arrivals(rnd, s.Load*capacity/mean, func() int {
		p, _ := slices.BinarySearch(zipf, rnd.Float64()*weights)
		return min(p, projects-1)
	})
	w.end = w.orders[len(w.orders)-1].at
	if s.Drift {
		w.drift(rnd)
	}
	if s.Break > 0 {
		w.breakOne()
	}
	return w
}

// arrivals are a Poisson process; a bursty one is four times as dense in one
// minute of five and thin in the others.
func (w *world) arrivals(rnd *rand.Rand, rate float64, project func() int) {
	for t := 0.0; len(w.orders) < w.Jobs; {
		now := rate
		if w.Bursty {
			now = rate / 4
			if math.Mod(t, 300) < 60 {
				now = rate * 4
			}
		}
		t += rnd.ExpFloat64() / now
		w.orders = append(w.orders, order{t, project(), rnd.Uint64()})
	}
}

// drift gives one agent in six a time of being two to four times slower, and
// one in twelve an outage of five to twenty minutes.
func (w *world) drift(rnd *rand.Rand) {
	for i := range w.machines {
		m := &w.machines[i]
		from := rnd.Float64() * w.end
		if rnd.IntN(6) == 0 {
			m.faults = append(m.faults, fault{from, from + w.end/4, 2 + 2*rnd.Float64()})
		}
		if rnd.IntN(12) == 0 {
			m.faults = append(m.faults, fault{from, from + 300 + 900*rnd.Float64(), 0})
		}
	}
}

func (w *world) breakOne() {
	best := 0.0
	for i, m := range w.machines {
		if v := m.speed * m.speed * float64(m.slots); v > best && m.reliable > 0.99 {
			best, w.victim = v, i
		}
	}
	w.machines[w.victim].faults = []fault{{w.Break * w.end, (w.Break + 0.25) * w.end, 0}}
}

// pace is the machine's speed at a time; 0 is broken.
func (m *machine) pace(t float64) float64 {
	v := m.speed
	for _, f := range m.faults {
		if t >= f.from && t < f.to {
			if f.slow == 0 {
				return 0
			}
			v /= f.slow
		}
	}
	return v
}
