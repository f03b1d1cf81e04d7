package quota

import "time"

// Room is one job's part of its user's allowance. Its methods may be called
// concurrently, also for the nil Room of a user without limits, and do nothing
// once the room is free.
type Room struct {
	account *account
	session time.Duration
	began   time.Time // of the session; zero while the job waits
	until   time.Time // when the room is free without a further event
}

// Keep renews the room of a job that waits, and reports whether the room is still
// the job's.
func (r *Room) Keep(now time.Time) (held bool) {
	r.change(func() {
		held = true
		if r.began.IsZero() {
			r.until = now.Add(Memory)
		}
	})
	return held
}

// Begin starts the session with an agent.
func (r *Room) Begin(now time.Time) {
	r.change(func() { r.began, r.until = now, now.Add(r.session) })
}

// Wait ends a session without a result: the job waits again, and nothing is
// charged.
func (r *Room) Wait(now time.Time) {
	r.change(func() { r.began, r.until = time.Time{}, now.Add(Memory) })
}

// End charges the time that the session took and frees the room.
func (r *Room) End(now time.Time) {
	r.change(func() {
		r.account.roll(now)
		r.charge(now)
		delete(r.account.rooms, r)
	})
}

// Drop frees the room and charges nothing.
func (r *Room) Drop() {
	r.change(func() { delete(r.account.rooms, r) })
}

func (r *Room) change(f func()) {
	if r == nil {
		return
	}
	r.account.mu.Lock()
	defer r.account.mu.Unlock()
	if _, held := r.account.rooms[r]; held {
		f()
	}
}

// charge adds the part of the session until end that ran in the account's day.
// The caller holds the account's mutex and has called roll.
func (r *Room) charge(end time.Time) {
	if r.began.IsZero() {
		return
	}
	if last := r.began.Add(r.session); end.After(last) {
		end = last
	}
	r.account.used += max(0, end.Sub(r.start()))
}

// start is when the session began, or the account's day if that is later.
func (r *Room) start() time.Time {
	if today := r.account.today(); today.After(r.began) {
		return today
	}
	return r.began
}

// reserved is the time that the job can still use of the account's day.
func (r *Room) reserved() time.Duration {
	if r.began.IsZero() {
		return r.session
	}
	return max(0, r.until.Sub(r.start()))
}
