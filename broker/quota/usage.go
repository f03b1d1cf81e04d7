package quota

import (
	"maps"
	"slices"
	"time"
)

// Usage has a user's limits and present usage.
type Usage struct {
	User string
	// Limits has no field that is 0: the defaults are filled in.
	Limits Limits
	// Jobs are under way now; Sessions is the time of today's sessions, with that
	// of running ones so far.
	Jobs     int
	Sessions time.Duration
}

// Defaults returns the limits of users without limits of their own.
func (l *Accounts) Defaults() Limits { return l.defaults }

// Active returns the users that have used something today, sorted. A user
// without limits on jobs and sessions is not counted.
func (l *Accounts) Active(now time.Time) []string {
	l.mu.Lock()
	all := maps.Clone(l.accounts)
	l.mu.Unlock()
	var active []string
	for user, a := range all {
		a.mu.Lock()
		a.settle(now)
		if len(a.rooms) > 0 || a.used > 0 {
			active = append(active, user)
		}
		a.mu.Unlock()
	}
	slices.Sort(active)
	return active
}

// Usage returns the usage of a user with these limits of its own.
func (l *Accounts) Usage(user string, own Limits, now time.Time) Usage {
	u := Usage{User: user, Limits: own.Or(l.defaults)}
	l.mu.Lock()
	a := l.accounts[user]
	l.mu.Unlock()
	if a == nil {
		return u
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settle(now)
	u.Jobs, u.Sessions = len(a.rooms), a.used
	for r := range a.rooms {
		if !r.began.IsZero() {
			u.Sessions += max(0, now.Sub(r.start()))
		}
	}
	return u
}
