package quota

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Memory is how long a job that waits keeps its room without a request of its
// client.
const Memory = time.Minute

// Accounts keeps an account for each user. It is safe for concurrent use: each
// account has its own lock.
type Accounts struct {
	defaults Limits

	mu       sync.Mutex // guards the map, not the accounts
	accounts map[string]*account
	sweepAt  int
}

type account struct {
	mu     sync.Mutex
	swept  bool // out of the map; look it up again
	grants *rate.Limiter
	rooms  map[*Room]struct{}
	day    int64 // days since 1970, UTC
	used   time.Duration
}

// NewAccounts returns an empty ledger. Users without limits of their own have the
// defaults; an unset field of the defaults means no limit.
func NewAccounts(defaults Limits) *Accounts {
	return &Accounts{
		defaults: defaults.Or(Limits{Jobs: Unlimited, Grants: Unlimited, Sessions: Unlimited}),
		accounts: map[string]*account{}, sweepAt: 1024,
	}
}

// Grant counts a request for a grant and checks that an offer under it would find
// room for its session. It returns nil if so.
func (l *Accounts) Grant(user string, own Limits, session time.Duration, now time.Time) *Refusal {
	limits := own.Or(l.defaults)
	a := l.lock(user, now)
	defer a.mu.Unlock()
	if limits.Grants > 0 {
		if per := rate.Limit(float64(limits.Grants) / 60); a.grants == nil {
			a.grants = rate.NewLimiter(per, limits.Grants)
		} else if a.grants.Burst() != limits.Grants {
			a.grants.SetLimitAt(now, per)
			a.grants.SetBurstAt(now, limits.Grants)
		}
		if wait, ok := take(a.grants, now); !ok {
			return tooManyGrants(limits, wait)
		}
	}
	a.settle(now)
	return a.refuse(limits, session, now)
}

// Take takes the room for a job, or returns why there is none. Both results are
// nil for a user without limits.
func (l *Accounts) Take(user string, own Limits, session time.Duration, now time.Time) (*Room, *Refusal) {
	limits := own.Or(l.defaults)
	if limits.Jobs < 0 && limits.Sessions < 0 {
		return nil, nil // nothing to count
	}
	a := l.lock(user, now)
	defer a.mu.Unlock()
	a.settle(now)
	if refusal := a.refuse(limits, session, now); refusal != nil {
		return nil, refusal
	}
	r := &Room{account: a, session: session, until: now.Add(Memory)}
	a.rooms[r] = struct{}{}
	return r, nil
}

// lock returns the user's account with its mutex held. Accounts that equal a new
// one are dropped from time to time.
func (l *Accounts) lock(user string, now time.Time) *account {
	for {
		l.mu.Lock()
		a := l.accounts[user]
		if a == nil {
			if len(l.accounts) >= l.sweepAt {
				l.sweep(now)
			}
			a = &account{rooms: map[*Room]struct{}{}, day: day(now)}
			l.accounts[user] = a
		}
		l.mu.Unlock()
		a.mu.Lock()
		if !a.swept {
			return a
		}
		a.mu.Unlock()
	}
}

// sweep is called with l.mu held.
func (l *Accounts) sweep(now time.Time) {
	for id, a := range l.accounts {
		a.mu.Lock()
		a.settle(now)
		if len(a.rooms) == 0 && a.used == 0 && (a.grants == nil || a.grants.TokensAt(now) >= float64(a.grants.Burst())) {
			a.swept = true
			delete(l.accounts, id)
		}
		a.mu.Unlock()
	}
	l.sweepAt = max(1024, 2*len(l.accounts))
}

// settle begins a new day and ends the rooms whose time is over. The caller holds
// a.mu.
func (a *account) settle(now time.Time) {
	a.roll(now)
	for r := range a.rooms {
		if !now.Before(r.until) {
			r.charge(r.until)
			delete(a.rooms, r)
		}
	}
}

// roll begins a new day.
func (a *account) roll(now time.Time) {
	if today := day(now); today > a.day {
		a.day, a.used = today, 0
	}
}

// today is when the account's day began.
func (a *account) today() time.Time { return time.Unix(a.day*24*3600, 0) }

func day(t time.Time) int64 { return t.Unix() / (24 * 3600) }
