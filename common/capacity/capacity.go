// Package capacity has the one measure for what a job needs and what an agent
// has: cores and memory. A need, an agent's whole size, its free part and the
// sum of its reservations are all values of [Capacity], so that they can be
// compared and subtracted without conversions.
package capacity

import (
	"math"
	"strconv"
)

// Capacity is a number of cores and an amount of memory in MiB.
type Capacity struct{ Cores, MemoryMB int }

// Fits reports whether need can be taken out of c.
func (c Capacity) Fits(need Capacity) bool {
	return c.Cores >= need.Cores && c.MemoryMB >= need.MemoryMB
}

// Plus returns the sum of c and d.
func (c Capacity) Plus(d Capacity) Capacity {
	return Capacity{c.Cores + d.Cores, c.MemoryMB + d.MemoryMB}
}

// Minus returns c without d; neither part goes below zero.
func (c Capacity) Minus(d Capacity) Capacity {
	return Capacity{max(c.Cores-d.Cores, 0), max(c.MemoryMB-d.MemoryMB, 0)}
}

// Min returns the smaller of c and d in each part.
func (c Capacity) Min(d Capacity) Capacity {
	return Capacity{min(c.Cores, d.Cores), min(c.MemoryMB, d.MemoryMB)}
}

// Times returns how many jobs of this need run side by side in c. A need of
// nothing counts as one core.
func (c Capacity) Times(need Capacity) int {
	n := c.Cores / max(need.Cores, 1)
	if need.MemoryMB > 0 {
		n = min(n, c.MemoryMB/need.MemoryMB)
	}
	return max(n, 0)
}

// MinShare and MaxShare bound a [CoreShare]. Linux grants processor time in
// milliseconds of a period of a tenth of a second, so less than a hundredth of a
// core cannot be enforced.
const (
	MinShare CoreShare = 0.01
	MaxShare CoreShare = 1024
)

// CoreShare is a number of cores, fractions included, that one job may use. A
// limit is set to the exact share; a reservation takes [CoreShare.Whole] cores.
type CoreShare float64

// Valid reports whether the share is between MinShare and MaxShare. NaN is not.
func (s CoreShare) Valid() bool { return s >= MinShare && s <= MaxShare }

// Whole returns the share rounded up to whole cores, at least one.
func (s CoreShare) Whole() int { return max(int(math.Ceil(float64(s))), 1) }

// String returns the shortest decimal number, such as "2" or "0.5".
func (s CoreShare) String() string { return strconv.FormatFloat(float64(s), 'f', -1, 64) }
