// Package ledger keeps what an agent has promised to jobs, so that no two
// offers are promised the same core.
//
//	claim ──▶ Reserve ──▶ held ──▶ Release   (report, refusal, end of session)
//	                        │
//	                        ├──▶ the agent's status stops listing it
//	                        └──▶ it expires
//
// An agent's own status is the truth, but it is old when it arrives: it cannot
// know of a job that was claimed while it was on its way. So what is free is
// what the status says, less the reservations that it does not list; and never
// more than the whole less all reservations. A reservation that nobody ends
// heals in two ways: a status sent well after it does not list it, or its time
// passes. Nothing needs to be remembered over a restart of the broker: the
// next status of each agent says what runs there.
package ledger

import (
	"slices"
	"time"
)

// Capacity is cores and memory in MiB.
type Capacity struct{ Cores, MemoryMB int }

// Fits tells whether need can be taken out of c.
func (c Capacity) Fits(need Capacity) bool {
	return c.Cores >= need.Cores && c.MemoryMB >= need.MemoryMB
}

func (c Capacity) less(d Capacity) Capacity {
	return Capacity{max(c.Cores-d.Cores, 0), max(c.MemoryMB-d.MemoryMB, 0)}
}

// Reservation is one job's share of an agent.
type Reservation struct {
	Job  string
	Need Capacity
	// Since is when it was made, Until when it ends by itself.
	Since, Until time.Time
	// Done is when the job is expected to be done.
	Done time.Time
	// answered is when the agent is known to have taken it on; zero if it is not.
	answered time.Time
	// listed: the agent's last status counted it.
	listed bool
}

// settle is how long a job that the agent has not answered may be missing from
// its status before its reservation is given up. What was said after the answer
// counts at once.
const settle = 15 * time.Second

// Account is one agent's reservations. The zero value is an agent of which
// nothing is known: it has nothing to give. It is a plain value without locks;
// whoever owns it serialises access.
type Account struct {
	total, reported Capacity
	held            []Reservation
}

// Status takes in what the agent says of itself: its whole and free capacity,
// and the jobs that run there. sent is when it said so, or the latest moment
// before that is known.
func (a *Account) Status(total, free Capacity, running []string, sent time.Time) {
	a.total, a.reported = total, free
	a.held = slices.DeleteFunc(a.held, func(r Reservation) bool {
		known := !r.answered.IsZero() && sent.After(r.answered)
		return !slices.Contains(running, r.Job) && (known || sent.Sub(r.Since) > settle)
	})
	for i := range a.held {
		a.held[i].listed = slices.Contains(running, a.held[i].Job)
	}
}

// Free is what can be promised now.
func (a *Account) Free() Capacity {
	free, rest := a.reported, a.total
	for i := range a.held {
		r := &a.held[i]
		rest = rest.less(r.Need)
		if !r.listed {
			free = free.less(r.Need)
		}
	}
	return Capacity{min(free.Cores, rest.Cores), min(free.MemoryMB, rest.MemoryMB)}
}

// Total is the agent's whole capacity.
func (a *Account) Total() Capacity { return a.total }

// Held is what is reserved. The caller does not change it.
func (a *Account) Held() []Reservation { return a.held }

// Reserve promises r.Need to r.Job, or returns false if there is not enough.
// The same job again is the same reservation.
func (a *Account) Reserve(r Reservation) bool {
	if i := a.find(r.Job); i >= 0 {
		return true
	}
	if !a.Free().Fits(r.Need) {
		return false
	}
	r.listed = false
	a.held = append(a.held, r)
	return true
}

// Answer says that the agent has taken the job on, and how long it may last. It
// tells whether the job has a reservation.
func (a *Account) Answer(job string, now, until time.Time) bool {
	i := a.find(job)
	if i < 0 {
		return false
	}
	a.held[i].answered, a.held[i].Until = now, until
	return true
}

// Release ends the job's reservation, and tells whether there was one. A
// listed one is added to what the agent has free: its status will follow.
func (a *Account) Release(job string) bool {
	i := a.find(job)
	if i < 0 {
		return false
	}
	if r := &a.held[i]; r.listed {
		a.reported.Cores = min(a.reported.Cores+r.Need.Cores, a.total.Cores)
		a.reported.MemoryMB = min(a.reported.MemoryMB+r.Need.MemoryMB, a.total.MemoryMB)
	}
	a.held = slices.Delete(a.held, i, i+1)
	return true
}

// Expire ends the reservations whose time is over.
func (a *Account) Expire(now time.Time) {
	for i := len(a.held) - 1; i >= 0; i-- {
		if now.After(a.held[i].Until) {
			a.Release(a.held[i].Job)
		}
	}
}

func (a *Account) find(job string) int {
	return slices.IndexFunc(a.held, func(r Reservation) bool { return r.Job == job })
}
