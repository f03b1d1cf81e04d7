package directory

import (
	"slices"
	"time"

	"github.com/farforge/farforge/common/capacity"
)

// Reservation is one job's share of an agent.
type Reservation struct {
	Job  string
	Need capacity.Capacity
	// Since is the time of the claim, and Until the time when the reservation
	// expires.
	Since, Until time.Time
	// Done is when the job is expected to end.
	Done time.Time
	// listed reports whether the agent's last status lists the job.
	listed bool
}

// settle is the time after the claim in which a status may lack the job without
// ending its reservation. It is the time from claim to answer plus 12 seconds; no
// poll takes that long to arrive. A status that arrives later was sent after the job
// had arrived. A status that lists the job as ended counts at once.
const settle = 15 * time.Second

// Account tracks the capacity that an agent has promised to jobs, so that no core is
// promised twice. The zero value is the account of an agent that has not polled: it
// has no capacity. It is a plain value without locks; its owner serializes access.
//
//	claim ──▶ Reserve ──▶ held ──▶ Release   (the agent reports the end)
//	                        │
//	                        ├──▶ Drop        (the claim is over, or refused)
//	                        ├──▶ Status      (the agent does not list the job any more)
//	                        └──▶ Expire
//
// An agent's status is true, but old when it arrives: a job that was claimed
// meanwhile is missing, and an older status may arrive after a newer one. So the
// free capacity is that of the status less the reservations that the status does
// not list, and at most the whole less all reservations. A reservation that no
// report ends heals in two ways: a later status does not list the job, or the
// reservation expires. The account need not survive a restart of the broker, as
// the next status of each agent lists the jobs that run there.
type Account struct {
	total, reported capacity.Capacity
	held            []Reservation
}

// Status updates the account by a status: the whole and free capacity, the running
// jobs and the last ended ones. It returns the number of reservations that this
// ends.
func (a *Account) Status(total, free capacity.Capacity, running, ended []string, now time.Time) (healed int) {
	a.total, a.reported = total, free
	before := len(a.held)
	a.held = slices.DeleteFunc(a.held, func(r Reservation) bool {
		return !slices.Contains(running, r.Job) && (now.Sub(r.Since) > settle || slices.Contains(ended, r.Job))
	})
	for i := range a.held {
		a.held[i].listed = slices.Contains(running, a.held[i].Job)
	}
	return before - len(a.held)
}

// Free returns the capacity that can be promised now.
func (a *Account) Free() capacity.Capacity {
	free, rest := a.reported, a.total
	for i := range a.held {
		r := &a.held[i]
		rest = rest.Minus(r.Need)
		if !r.listed {
			free = free.Minus(r.Need)
		}
	}
	return free.Min(rest)
}

// Clone returns a copy that is independent of a.
func (a *Account) Clone() Account {
	return Account{a.total, a.reported, slices.Clone(a.held)}
}

// At returns the account without the reservations that have expired by now. It does
// not change a.
func (a *Account) At(now time.Time) Account {
	if !slices.ContainsFunc(a.held, func(r Reservation) bool { return now.After(r.Until) }) {
		return *a
	}
	c := a.Clone()
	c.Expire(now)
	return c
}

// Total returns the agent's whole capacity.
func (a *Account) Total() capacity.Capacity { return a.total }

// Held returns the reservations. The caller does not change them.
func (a *Account) Held() []Reservation { return a.held }

// Reserve promises r.Need to r.Job. It returns false if too little is free. A second
// reservation of the same job has no effect and succeeds.
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

// Answer extends the reservation of a job that the agent has answered. It returns
// false if the job has none.
func (a *Account) Answer(job string, until time.Time) bool {
	i := a.find(job)
	if i < 0 {
		return false
	}
	a.held[i].Until = until
	return true
}

// Drop ends the job's reservation; it returns false if there is none. If the agent's
// status lists the job, it counts until the next status: only the agent knows
// whether the job still runs.
func (a *Account) Drop(job string) bool {
	i := a.find(job)
	if i < 0 {
		return false
	}
	a.held = slices.Delete(a.held, i, i+1)
	return true
}

// Release is Drop for a job that the agent reports as ended. Its share is free at
// once, although the last status still lists the job.
func (a *Account) Release(job string) bool {
	i := a.find(job)
	if i < 0 {
		return false
	}
	if r := &a.held[i]; r.listed {
		a.reported.Cores = min(a.reported.Cores+r.Need.Cores, a.total.Cores)
		a.reported.MemoryMB = min(a.reported.MemoryMB+r.Need.MemoryMB, a.total.MemoryMB)
	}
	return a.Drop(job)
}

// Expire ends the reservations whose time is over, and returns their number.
func (a *Account) Expire(now time.Time) (ended int) {
	before := len(a.held)
	a.held = slices.DeleteFunc(a.held, func(r Reservation) bool { return now.After(r.Until) })
	return before - len(a.held)
}

func (a *Account) find(job string) int {
	return slices.IndexFunc(a.held, func(r Reservation) bool { return r.Job == job })
}
