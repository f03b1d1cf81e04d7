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
	// Since is when it was made, Until when it ends by itself.
	Since, Until time.Time
	// Done is when the job is expected to be done.
	Done time.Time
	// listed: the agent's last status counted it.
	listed bool
}

// settle is how long after the claim a job may be missing from the agent's status
// before its reservation is given up, if the agent does not say that the job has
// ended. What arrives later was not sent before the job came: not even the
// slowest requests are so long on their way.
const settle = 15 * time.Second

// Account is what an agent has promised to jobs, so that no two offers are
// promised the same core. The zero value is an agent that has not polled: it has
// nothing to give. It is a plain value without locks; its owner serializes access.
//
//	claim ──▶ Reserve ──▶ held ──▶ Release   (the agent reports the end)
//	                        │
//	                        ├──▶ Drop        (the claim is over, or refused)
//	                        ├──▶ Status      (the agent does not list the job any more)
//	                        └──▶ Expire
//
// An agent's own status is the truth, but it is old when it arrives: the agent
// does not know yet of a job that was claimed meanwhile, and an older status may
// arrive behind a newer one. So what is free is what the status says, less the
// reservations that the status does not list; and never more than the whole less
// all reservations. A reservation that nobody ends heals in two ways: a status
// that was sent well after it does not list it, or its time passes. Nothing needs
// to be remembered over a restart of the broker: the next status of each agent
// says what runs there.
type Account struct {
	total, reported capacity.Capacity
	held            []Reservation
}

// Status takes in what the agent says of itself: its whole and free capacity,
// the jobs that run there, and the last that did. It returns how many reservations
// end by that.
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

// Free is what can be promised now.
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

// Clone returns a copy that changes of a leave as it is.
func (a *Account) Clone() Account {
	return Account{a.total, a.reported, slices.Clone(a.held)}
}

// At returns the account as it is once the reservations are dropped whose time is
// over. It leaves a as it is.
func (a *Account) At(now time.Time) Account {
	if !slices.ContainsFunc(a.held, func(r Reservation) bool { return now.After(r.Until) }) {
		return *a
	}
	c := a.Clone()
	c.Expire(now)
	return c
}

// Total is the agent's whole capacity.
func (a *Account) Total() capacity.Capacity { return a.total }

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
func (a *Account) Answer(job string, until time.Time) bool {
	i := a.find(job)
	if i < 0 {
		return false
	}
	a.held[i].Until = until
	return true
}

// Drop ends the job's reservation, and tells whether there was one. If the
// agent's status counts the job, it goes on to count until the next one: nobody
// but the agent knows whether it is still at it.
func (a *Account) Drop(job string) bool {
	i := a.find(job)
	if i < 0 {
		return false
	}
	a.held = slices.Delete(a.held, i, i+1)
	return true
}

// Release is Drop for a job that the agent says it has ended. What its status
// counted for the job is free at once: the next one will follow.
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

// Expire drops the reservations whose time is over, and returns how many.
func (a *Account) Expire(now time.Time) (ended int) {
	before := len(a.held)
	a.held = slices.DeleteFunc(a.held, func(r Reservation) bool { return now.After(r.Until) })
	return before - len(a.held)
}

func (a *Account) find(job string) int {
	return slices.IndexFunc(a.held, func(r Reservation) bool { return r.Job == job })
}
