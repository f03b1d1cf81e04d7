package directory

import (
	"time"

	"github.com/farforge/farforge/common/capacity"
)

// Reserve promises a share of the agent to a job. It returns false if the agent has
// too little left or is not listed.
func (d *Directory) Reserve(fingerprint string, r Reservation) (ok bool) {
	d.account(fingerprint, r.Since, func(a *Account) bool {
		ended := d.expire(a, r.Since)
		ok = a.Reserve(r)
		return ok || ended
	})
	return ok
}

// Answer extends the reservation of a job that the agent has answered.
func (d *Directory) Answer(fingerprint, job string, until time.Time) {
	d.account(fingerprint, time.Time{}, func(a *Account) bool { return a.Answer(job, until) })
}

// Release ends the reservation of a job that has ended on the agent, if there is one;
// see [Account.Release].
func (d *Directory) Release(fingerprint, job string, now time.Time) {
	d.account(fingerprint, now, func(a *Account) bool { return a.Release(job) })
}

// Drop ends the reservation of a job whose claim has ended, if there is one; see
// [Account.Drop].
func (d *Directory) Drop(fingerprint, job string, now time.Time) {
	d.account(fingerprint, now, func(a *Account) bool { return a.Drop(job) })
}

// Free returns the agent's unreserved capacity, after ending expired reservations.
func (d *Directory) Free(fingerprint string, now time.Time) (free capacity.Capacity) {
	d.account(fingerprint, now, func(a *Account) bool {
		ended := d.expire(a, now)
		free = a.Free()
		return ended
	})
	return free
}

// account runs f on the agent's reservations. f reports whether it has changed them.
func (d *Directory) account(fingerprint string, now time.Time, f func(*Account) bool) {
	e, ok := d.table.Load().byFingerprint[fingerprint]
	if !ok {
		return
	}
	r := e.record
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.removed || !f(&r.account) {
		return
	}
	if now.After(r.latest) {
		r.latest = now
	}
	r.publish(d)
}

func (d *Directory) expire(a *Account, now time.Time) bool {
	n := a.Expire(now)
	d.expired.Add(int64(n))
	return n > 0
}

// Totals is a momentary count of all reservations.
type Totals struct {
	// Reservations is the number of jobs with a reservation, and Reserved the sum
	// of their needs.
	Reservations int
	Reserved     capacity.Capacity
	// Healed counts reservations that ended because a status did not list the job,
	// and Expired those that ended by their time, since the broker's start.
	Healed, Expired int
}

// Totals ends expired reservations and counts the others. It visits one agent after
// the other.
func (d *Directory) Totals(now time.Time) (t Totals) {
	for _, e := range d.table.Load().list {
		d.account(e.fingerprint, now, func(a *Account) bool {
			ended := d.expire(a, now)
			for _, r := range a.Held() {
				t.Reservations++
				t.Reserved = t.Reserved.Plus(r.Need)
			}
			return ended
		})
	}
	t.Healed, t.Expired = int(d.healed.Load()), int(d.expired.Load())
	return t
}
