// Package capacity has the one measure for what a job needs and what an agent
// has: cores and memory. A need, an agent's whole size, its free part and the
// sum of its reservations are all values of [Capacity], so that they can be
// compared and subtracted without conversions.
package capacity

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
