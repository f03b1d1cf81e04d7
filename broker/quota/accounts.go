package quota

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Memory is how long a job that waits keeps its room when nobody asks for it
// any more.
const Memory = time.Minute

// Accounts keeps an account for each user. It is safe for concurrent use.
type Accounts struct {
	defaults Limits

	mu       sync.Mutex
	accounts map[string]*account
	jobs     map[string]*account // by job id
	sweepAt  int
}

type account struct {
	grants *rate.Limiter
	jobs   map[string]*job
	day    int64 // days since 1970, UTC
	used   time.Duration
}

type job struct {
	session time.Duration
	agent   string    // who claimed it last
	began   time.Time // of the session; zero while the job waits
	until   time.Time // when its room is given back whatever happens
}

// NewAccounts makes an empty ledger. Users without limits of their own have the
// defaults; what is not set there is no limit.
func NewAccounts(defaults Limits) *Accounts {
	return &Accounts{
		defaults: defaults.Or(Limits{Jobs: Unlimited, Grants: Unlimited, Sessions: Unlimited}),
		accounts: map[string]*account{}, jobs: map[string]*account{}, sweepAt: 1024,
	}
}

// Grant takes a request for a grant into account and tells whether an offer
// under it would find room for its session. It returns nil if so.
func (l *Accounts) Grant(user string, own Limits, session time.Duration, now time.Time) *Refusal {
	limits := own.Or(l.defaults)
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(user, now)
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
	l.settle(a, now)
	return a.room(limits, session, now)
}

// Offer takes the room for a job, unless it has it already: an offer may be
// posted again. fresh tells that it had not. The refusal is nil if there was
// room.
func (l *Accounts) Offer(user, jobID string, own Limits, session time.Duration, now time.Time) (fresh bool, refusal *Refusal) {
	limits := own.Or(l.defaults)
	if limits.Jobs < 0 && limits.Sessions < 0 {
		return false, nil // nothing to count
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(user, now)
	l.settle(a, now)
	if j := a.jobs[jobID]; j != nil {
		j.keep(now)
		return false, nil
	}
	if r := a.room(limits, session, now); r != nil {
		return false, r
	}
	j := &job{session: session}
	j.keep(now)
	a.jobs[jobID] = j
	l.jobs[jobID] = a
	return true, nil
}

// keep gives a job that waits the time for which the broker remembers it.
func (j *job) keep(now time.Time) {
	if j.began.IsZero() {
		j.until = now.Add(Memory)
	}
}

// Claim begins the job's session with an agent. Unknown jobs are passed over,
// here and below.
func (l *Accounts) Claim(jobID, agent string, now time.Time) {
	l.change(jobID, func(_ *account, j *job) {
		j.agent, j.began, j.until = agent, now, now.Add(j.session)
	})
}

// Refused is told when an agent reports that it did not take the job. It lets
// the job wait again, and returns whether the agent was the last to claim it.
func (l *Accounts) Refused(jobID, agent string, now time.Time) (was bool) {
	l.change(jobID, func(_ *account, j *job) {
		if was = j.agent == agent; was {
			j.wait(now)
		}
	})
	return was
}

// Wait lets the job wait, or wait again after a claim that came to nothing.
func (l *Accounts) Wait(jobID string, now time.Time) {
	l.change(jobID, func(_ *account, j *job) { j.wait(now) })
}

func (j *job) wait(now time.Time) { j.began, j.until = time.Time{}, now.Add(Memory) }

// Answered is told when the client has had the answer. A job that no agent
// works on gives its room back: it has ended before, and its answer was only
// fetched again.
func (l *Accounts) Answered(jobID string) {
	l.change(jobID, func(a *account, j *job) {
		if j.began.IsZero() {
			l.drop(a, jobID)
		}
	})
}

// Drop gives the room of a job back that came to nothing.
func (l *Accounts) Drop(jobID string) {
	l.change(jobID, func(a *account, _ *job) { l.drop(a, jobID) })
}

// End is told when an agent reports the job's end. It gives the room back and
// charges what the session took, if it was that agent's.
func (l *Accounts) End(jobID, agent string, now time.Time) {
	l.change(jobID, func(a *account, j *job) {
		if j.agent != agent || j.began.IsZero() {
			return
		}
		a.roll(now)
		a.charge(j, now)
		l.drop(a, jobID)
	})
}

func (l *Accounts) change(jobID string, f func(*account, *job)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.jobs[jobID]; a != nil {
		f(a, a.jobs[jobID])
	}
}

func (l *Accounts) drop(a *account, jobID string) {
	delete(a.jobs, jobID)
	delete(l.jobs, jobID)
}

// charge is called after roll.
func (a *account) charge(j *job, now time.Time) {
	if j.began.IsZero() || day(j.began) != a.day {
		return // no session, or one that began on another day
	}
	a.used += max(0, min(now.Sub(j.began), j.session))
}

// roll begins a new day.
func (a *account) roll(now time.Time) {
	if today := day(now); today != a.day {
		a.day, a.used = today, 0
	}
}

// settle ends what must be over.
func (l *Accounts) settle(a *account, now time.Time) {
	a.roll(now)
	for id, j := range a.jobs {
		if !now.Before(j.until) {
			a.charge(j, j.until)
			l.drop(a, id)
		}
	}
}

func day(t time.Time) int64 { return t.Unix() / (24 * 3600) }

// account returns the user's account. Accounts that say no more than a new one
// would are dropped from time to time.
func (l *Accounts) account(user string, now time.Time) *account {
	if a := l.accounts[user]; a != nil {
		return a
	}
	if len(l.accounts) >= l.sweepAt {
		for id, a := range l.accounts {
			l.settle(a, now)
			if len(a.jobs) == 0 && a.used == 0 && (a.grants == nil || a.grants.TokensAt(now) >= float64(a.grants.Burst())) {
				delete(l.accounts, id)
			}
		}
		l.sweepAt = max(1024, 2*len(l.accounts))
	}
	a := &account{jobs: map[string]*job{}, day: day(now)}
	l.accounts[user] = a
	return a
}
