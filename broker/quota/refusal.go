package quota

import (
	"fmt"
	"time"
)

// Refusal names the limit that was reached and the time to retry.
type Refusal struct {
	// Limit is "grants", "jobs" or "sessions".
	Limit  string
	Detail string
	Hints  []string
	// RetryAfter is the time after which a retry may succeed.
	RetryAfter time.Duration
}

// lookAgain is when to retry for room that the end of any job may free.
const lookAgain = 15 * time.Second

func tooManyGrants(l Limits, wait time.Duration) *Refusal {
	return &Refusal{
		Limit:      "grants",
		Detail:     fmt.Sprintf("you requested more than %d grants a minute", l.Grants),
		Hints:      []string{"retry in " + roundUp(wait)},
		RetryAfter: wait,
	}
}

// refuse returns nil if one more job with that session is within the limits. The
// caller holds a.mu.
func (a *account) refuse(l Limits, session time.Duration, now time.Time) *Refusal {
	var reserved time.Duration
	var first time.Time // when the first of the jobs is over at the latest
	for r := range a.rooms {
		reserved += r.reserved()
		if first.IsZero() || r.until.Before(first) {
			first = r.until
		}
	}
	if l.Jobs > 0 && len(a.rooms) >= l.Jobs {
		return &Refusal{
			Limit:      "jobs",
			Detail:     fmt.Sprintf("you have %s under way, and %d at once is your limit", count(len(a.rooms), "job"), l.Jobs),
			Hints:      []string{fmt.Sprintf("retry when one has ended; that is in %s at the latest", roundUp(first.Sub(now)))},
			RetryAfter: min(first.Sub(now), lookAgain),
		}
	}
	if l.Sessions < 0 || a.used+reserved+session <= l.Sessions {
		return nil
	}
	midnight := time.Unix((day(now)+1)*24*3600, 0)
	r := &Refusal{
		Limit: "sessions",
		Detail: fmt.Sprintf("your jobs may take %s a day on agents: %s are used, %s are reserved by jobs under way, and this one requests %s",
			ShortDuration(l.Sessions), roundUp(a.used), roundUp(reserved), roundUp(session)),
		RetryAfter: midnight.Sub(now),
	}
	if left := (l.Sessions - a.used - reserved).Truncate(time.Second); left > 0 {
		r.Hints = append(r.Hints, fmt.Sprintf("request at most %s (timeout_secs %d)", ShortDuration(left), int(left/time.Second)))
	}
	if a.used+session <= l.Sessions {
		r.RetryAfter = min(first.Sub(now), lookAgain)
		r.Hints = append(r.Hints, "retry when one of your jobs has ended")
	} else if session <= l.Sessions {
		r.Hints = append(r.Hints, "retry after midnight UTC, in "+roundUp(r.RetryAfter))
	}
	return r
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func roundUp(d time.Duration) string {
	return ShortDuration((d + time.Second - 1).Truncate(time.Second))
}
