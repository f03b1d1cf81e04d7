package quota

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

const alice = "key:alice"

// wantRefusal checks which limit was reached, what the user hears and when to
// come back.
func wantRefusal(t *testing.T, r *Refusal, limit, detail, hint string, after time.Duration) {
	t.Helper()
	if r == nil {
		t.Errorf("nothing was refused; want %s", limit)
		return
	}
	if r.Limit != limit || !strings.Contains(r.Detail, detail) || !strings.Contains(strings.Join(r.Hints, "; "), hint) || r.RetryAfter != after {
		t.Errorf("%+v; want %s, %q, %q, %v", r, limit, detail, hint, after)
	}
}

func offer(t *testing.T, a *Accounts, job string, session time.Duration, now time.Time) *Refusal {
	t.Helper()
	_, r := a.Offer(alice, job, Limits{}, session, now)
	return r
}

func TestGrantsAMinute(t *testing.T) {
	a := NewAccounts(Limits{Grants: 6})
	ask := func(user string, own Limits, now time.Time) *Refusal { return a.Grant(user, own, time.Minute, now) }
	for range 6 {
		if r := ask(alice, Limits{}, noon); r != nil {
			t.Fatal(r)
		}
	}
	wantRefusal(t, ask(alice, Limits{}, noon), "grants", "more than 6 grants a minute", "come back in 10s", 10*time.Second)
	if r := ask("key:bob", Limits{}, noon); r != nil {
		t.Errorf("another user: %+v", r)
	}
	if r := ask(alice, Limits{}, noon.Add(10*time.Second)); r != nil {
		t.Errorf("after the wait: %+v", r)
	}
	// The user's own limit counts from the next request on.
	if r := ask(alice, Limits{Grants: Unlimited}, noon.Add(11*time.Second)); r != nil {
		t.Errorf("without a limit: %+v", r)
	}
	for range 2 {
		ask("key:carol", Limits{Grants: 2}, noon)
	}
	wantRefusal(t, ask("key:carol", Limits{Grants: 2}, noon), "grants", "more than 2", "30s", 30*time.Second)
	wantRefusal(t, ask("key:carol", Limits{Grants: 60}, noon), "grants", "more than 60", "in 1s", time.Second)
	if r := ask("key:carol", Limits{Grants: 60}, noon.Add(time.Second)); r != nil {
		t.Errorf("after the operator raised it: %+v", r)
	}
}

func TestJobsAtOnce(t *testing.T) {
	a := NewAccounts(Limits{Jobs: 2})
	now := noon
	if r := offer(t, a, "1", time.Hour, now); r != nil {
		t.Fatal(r)
	}
	if r := offer(t, a, "2", time.Hour, now); r != nil {
		t.Fatal(r)
	}
	a.Claim("2", "agent", now)
	// A job that waits and one that is built count alike, and both keep a
	// grant from being given in vain.
	wantRefusal(t, offer(t, a, "3", time.Hour, now), "jobs", "2 jobs under way, and 2 at once is your limit", "in 1m at the latest", 15*time.Second)
	wantRefusal(t, a.Grant(alice, Limits{}, time.Hour, now), "jobs", "2 at once", "1m", 15*time.Second)
	if fresh, r := a.Offer(alice, "1", Limits{}, time.Hour, now); fresh || r != nil {
		t.Errorf("the same offer again: %v, %+v", fresh, r)
	}
	if r := a.Grant("key:bob", Limits{}, time.Hour, now); r != nil {
		t.Errorf("another user: %+v", r)
	}
	a.End("2", "another", now) // which nobody believes
	a.End("1", "agent", now)   // nor of a job that it never had
	if a.Refused("2", "another", now) || a.Refused("unknown", "agent", now) {
		t.Error("an agent refused what it did not have")
	}
	if jobs := len(a.jobs); jobs != 2 {
		t.Errorf("%d jobs have room", jobs)
	}
	a.End("2", "agent", now.Add(time.Second))
	if r := offer(t, a, "3", time.Hour, now.Add(time.Second)); r != nil {
		t.Errorf("after one has ended: %+v", r)
	}
	for _, job := range []string{"1", "3", "3", "unknown"} {
		a.Drop(job)
		a.End(job, "agent", now)
		a.Claim(job, "agent", now)
		a.Wait(job, now)
		a.Answered(job)
	}
	if jobs := len(a.jobs); jobs != 0 {
		t.Errorf("%d jobs are left", jobs)
	}
}

// Nothing that crashes or goes away uses up an allowance for ever.
func TestRoomComesBackByItself(t *testing.T) {
	for _, tt := range []struct {
		name   string
		happen func(*Accounts)
		after  time.Duration
	}{
		{"a client that went away while it waited", func(*Accounts) {}, Memory},
		{"an agent that crashed", func(a *Accounts) { a.Claim("1", "agent", noon) }, 10 * time.Minute},
		{"a claim that came to nothing", func(a *Accounts) { a.Claim("1", "agent", noon); a.Wait("1", noon) }, Memory},
		{"a client that asks again", func(a *Accounts) { a.Offer(alice, "1", Limits{}, 10*time.Minute, noon.Add(30*time.Second)) }, Memory + 30*time.Second},
	} {
		a := NewAccounts(Limits{Jobs: 1})
		if r := offer(t, a, "1", 10*time.Minute, noon); r != nil {
			t.Fatal(r)
		}
		tt.happen(a)
		if r := offer(t, a, "2", time.Minute, noon.Add(tt.after-time.Second)); r == nil {
			t.Errorf("%s: the room came back before %v", tt.name, tt.after)
		}
		if r := offer(t, a, "2", time.Minute, noon.Add(tt.after)); r != nil {
			t.Errorf("%s: the room did not come back after %v: %+v", tt.name, tt.after, r)
		}
	}
}

func TestAnAnswerThatIsFetchedAgainTakesNoRoom(t *testing.T) {
	a := NewAccounts(Limits{Jobs: 1})
	offer(t, a, "1", time.Hour, noon)
	a.Claim("1", "agent", noon)
	a.Answered("1") // the session goes on
	if r := offer(t, a, "2", time.Hour, noon); r == nil {
		t.Error("the answer ended the job")
	}
	a.End("1", "agent", noon)
	offer(t, a, "1", time.Hour, noon) // its response was lost
	a.Answered("1")
	if r := offer(t, a, "2", time.Hour, noon); r != nil {
		t.Errorf("a job that is over takes room: %+v", r)
	}
}

func TestSessionTimeADay(t *testing.T) {
	a := NewAccounts(Limits{Sessions: time.Hour})
	now := noon
	if r := offer(t, a, "1", 40*time.Minute, now); r != nil {
		t.Fatal(r)
	}
	// What is reserved may come back at any time, and less may fit now.
	wantRefusal(t, a.Grant(alice, Limits{}, 30*time.Minute, now), "sessions",
		"1h a day on agents: 0s are used, 40m are reserved by jobs under way, and this one asks for 30m", "at most 20m (timeout_secs 1200)", 15*time.Second)
	a.Claim("1", "agent", now)
	now = now.Add(10 * time.Minute)
	a.End("1", "agent", now)
	if r := a.Grant(alice, Limits{}, 50*time.Minute, now); r != nil {
		t.Errorf("only what was used is charged: %+v", r)
	}
	wantRefusal(t, a.Grant(alice, Limits{}, 51*time.Minute, now), "sessions", "10m are used", "come back after midnight UTC, in 11h50m", 11*time.Hour+50*time.Minute)

	// An agent that never reports has used all that it was given.
	if r := offer(t, a, "2", 50*time.Minute, now); r != nil {
		t.Fatal(r)
	}
	a.Claim("2", "agent", now)
	now = now.Add(2 * time.Hour)
	r := a.Grant(alice, Limits{}, time.Second, now)
	wantRefusal(t, r, "sessions", "1h are used", "midnight", 9*time.Hour+50*time.Minute)

	// The next day begins anew; what an old session took is the old day's.
	midnight := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	if r := a.Grant(alice, Limits{}, time.Hour, midnight.Add(-time.Second)); r == nil {
		t.Error("the day is over too early")
	}
	if r := offer(t, a, "3", time.Hour, midnight); r != nil {
		t.Errorf("a new day: %+v", r)
	}
	a.Claim("3", "agent", midnight.Add(23*time.Hour+30*time.Minute))
	a.End("3", "agent", midnight.Add(24*time.Hour+10*time.Minute))
	if r := a.Grant(alice, Limits{}, time.Hour, midnight.Add(24*time.Hour+10*time.Minute)); r != nil {
		t.Errorf("a session of the day before: %+v", r)
	}
	// More than a whole day's time will not come with patience.
	if r := a.Grant(alice, Limits{}, 2*time.Hour, midnight.Add(48*time.Hour)); r == nil || strings.Contains(strings.Join(r.Hints, ""), "come back") {
		t.Errorf("%+v", r)
	}
}

func TestFailuresCostNothing(t *testing.T) {
	a := NewAccounts(Limits{Sessions: time.Hour})
	offer(t, a, "1", time.Hour, noon)
	a.Claim("1", "agent", noon)
	if !a.Refused("1", "agent", noon) {
		t.Error("the agent's refusal was not believed")
	}
	a.End("1", "agent", noon.Add(time.Minute)) // a second report changes nothing
	if jobs := len(a.jobs); jobs != 1 {
		t.Error("a job that goes on has no room")
	}
	a.Drop("1")
	if r := a.Grant(alice, Limits{}, time.Hour, noon.Add(time.Minute)); r != nil {
		t.Errorf("%+v", r)
	}
}

func TestAccountsThatSayNothingAreDropped(t *testing.T) {
	a := NewAccounts(Limits{Grants: 10, Jobs: 1})
	for i := range 5000 {
		a.Grant(fmt.Sprint("oidc:https://x#", i), Limits{}, time.Minute, noon.Add(time.Duration(i)*time.Second))
	}
	if users := len(a.accounts); users > 1024 {
		t.Errorf("%d accounts", users)
	}
	a.Offer("key:busy", "job", Limits{}, time.Hour, noon)
	a.Claim("job", "agent", noon.Add(5000*time.Second))
	for i := range 3000 {
		a.Grant(fmt.Sprint("oidc:https://y#", i), Limits{}, time.Minute, noon.Add(5000*time.Second))
	}
	if jobs := len(a.jobs); jobs != 1 {
		t.Error("a job that is under way was forgotten")
	}
	if fresh, r := (NewAccounts(Limits{})).Offer(alice, "1", Limits{}, time.Hour, noon); fresh || r != nil {
		t.Errorf("without limits something is counted: %v, %v", fresh, r)
	}
}

func TestConcurrentUse(t *testing.T) {
	a := NewAccounts(Limits{Jobs: 3, Sessions: 24 * time.Hour, Grants: 1000})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 300 {
				user, job := fmt.Sprint("key:", (w+i)%3), fmt.Sprint(w, "-", i)
				a.Grant(user, Limits{}, time.Minute, noon)
				if _, r := a.Offer(user, job, Limits{}, time.Minute, noon); r != nil {
					continue
				}
				a.Claim(job, "agent", noon)
				if i%2 == 0 {
					a.Wait(job, noon)
				}
				a.Claim(job, "agent", noon)
				a.End(job, "agent", noon)
			}
		})
	}
	wg.Wait()
	if jobs := len(a.jobs); jobs != 0 {
		t.Errorf("%d jobs are left", jobs)
	}
}
