package quota

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

const alice = "key:alice"

// wantRefusal checks the limit that was reached, the texts and the time to retry.
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

// hold takes the room for a job of alice, or fails the test.
func hold(t *testing.T, a *Accounts, session time.Duration, now time.Time) *Room {
	t.Helper()
	room, r := a.Take(alice, Limits{}, session, now)
	if r != nil {
		t.Fatalf("there is no room: %+v", r)
	}
	return room
}

// refused returns why there is no room for a job of alice, or nil.
func refused(a *Accounts, session time.Duration, now time.Time) *Refusal {
	room, r := a.Take(alice, Limits{}, session, now)
	room.Drop()
	return r
}

// rooms counts the rooms that are taken.
func (l *Accounts) rooms() (n int) {
	for _, a := range l.accounts {
		n += len(a.rooms)
	}
	return n
}

func TestGrantsAMinute(t *testing.T) {
	a := NewAccounts(Limits{Grants: 6})
	request := func(user string, own Limits, now time.Time) *Refusal { return a.Grant(user, own, time.Minute, now) }
	for range 6 {
		if r := request(alice, Limits{}, noon); r != nil {
			t.Fatal(r)
		}
	}
	wantRefusal(t, request(alice, Limits{}, noon), "grants", "more than 6 grants a minute", "retry in 10s", 10*time.Second)
	if r := request("key:bob", Limits{}, noon); r != nil {
		t.Errorf("another user: %+v", r)
	}
	if r := request(alice, Limits{}, noon.Add(10*time.Second)); r != nil {
		t.Errorf("after the wait: %+v", r)
	}
	// The user's own limit counts from the next request on.
	if r := request(alice, Limits{Grants: Unlimited}, noon.Add(11*time.Second)); r != nil {
		t.Errorf("without a limit: %+v", r)
	}
	for range 2 {
		request("key:carol", Limits{Grants: 2}, noon)
	}
	wantRefusal(t, request("key:carol", Limits{Grants: 2}, noon), "grants", "more than 2", "30s", 30*time.Second)
	wantRefusal(t, request("key:carol", Limits{Grants: 60}, noon), "grants", "more than 60", "in 1s", time.Second)
	if r := request("key:carol", Limits{Grants: 60}, noon.Add(time.Second)); r != nil {
		t.Errorf("after the operator raised it: %+v", r)
	}
}

func TestJobsAtOnce(t *testing.T) {
	a := NewAccounts(Limits{Jobs: 2})
	now := noon
	first, second := hold(t, a, time.Hour, now), hold(t, a, time.Hour, now)
	second.Begin(now)
	// A job that waits and one that is built count alike, and both keep the
	// broker from giving a useless grant.
	wantRefusal(t, refused(a, time.Hour, now), "jobs", "2 jobs under way, and 2 at once is your limit", "in 1m at the latest", 15*time.Second)
	wantRefusal(t, a.Grant(alice, Limits{}, time.Hour, now), "jobs", "2 at once", "1m", 15*time.Second)
	if !first.Keep(now) {
		t.Error("the room was not kept")
	}
	if r := a.Grant("key:bob", Limits{}, time.Hour, now); r != nil {
		t.Errorf("another user: %+v", r)
	}
	second.End(now.Add(time.Second))
	third := hold(t, a, time.Hour, now.Add(time.Second))
	for _, room := range []*Room{first, third, third, second, nil} {
		room.Drop()
		room.End(now)
		room.Begin(now)
		room.Wait(now)
		if room.Keep(now) {
			t.Error("a room that is free was kept")
		}
	}
	if n := a.rooms(); n != 0 {
		t.Errorf("%d rooms are left", n)
	}
}

// Nothing that crashes or goes away uses up an allowance forever.
func TestRoomIsFreedWithoutAReport(t *testing.T) {
	for _, tt := range []struct {
		name   string
		happen func(*Room)
		after  time.Duration
	}{
		{"a client that went away while it waited", func(*Room) {}, Memory},
		{"an agent that crashed", func(r *Room) { r.Begin(noon) }, 10 * time.Minute},
		{"a claim that ended without an answer", func(r *Room) { r.Begin(noon); r.Wait(noon) }, Memory},
		{"a client that returns", func(r *Room) { r.Keep(noon.Add(30 * time.Second)) }, Memory + 30*time.Second},
		{"a client that returns to a session", func(r *Room) { r.Begin(noon); r.Keep(noon.Add(30 * time.Second)) }, 10 * time.Minute},
	} {
		a := NewAccounts(Limits{Jobs: 1})
		tt.happen(hold(t, a, 10*time.Minute, noon))
		if r := refused(a, time.Minute, noon.Add(tt.after-time.Second)); r == nil {
			t.Errorf("%s: the room was free before %v", tt.name, tt.after)
		}
		if r := refused(a, time.Minute, noon.Add(tt.after)); r != nil {
			t.Errorf("%s: the room was not free after %v: %+v", tt.name, tt.after, r)
		}
	}
}

func TestSessionTimeADay(t *testing.T) {
	a := NewAccounts(Limits{Sessions: time.Hour})
	now := noon
	room := hold(t, a, 40*time.Minute, now)
	// Reserved time may be freed at any moment, and less may fit now.
	wantRefusal(t, a.Grant(alice, Limits{}, 30*time.Minute, now), "sessions",
		"1h a day on agents: 0s are used, 40m are reserved by jobs under way, and this one requests 30m", "at most 20m (timeout_secs 1200)", 15*time.Second)
	room.Begin(now)
	now = now.Add(10 * time.Minute)
	room.End(now)
	if r := a.Grant(alice, Limits{}, 50*time.Minute, now); r != nil {
		t.Errorf("only what was used is charged: %+v", r)
	}
	wantRefusal(t, a.Grant(alice, Limits{}, 51*time.Minute, now), "sessions", "10m are used", "retry after midnight UTC, in 11h50m", 11*time.Hour+50*time.Minute)

	// An agent that never reports has used all that it was given.
	hold(t, a, 50*time.Minute, now).Begin(now)
	now = now.Add(2 * time.Hour)
	r := a.Grant(alice, Limits{}, time.Second, now)
	wantRefusal(t, r, "sessions", "1h are used", "midnight", 9*time.Hour+50*time.Minute)

	// The next day has a full allowance.
	if r := a.Grant(alice, Limits{}, time.Hour, midnight.Add(-time.Second)); r == nil {
		t.Error("the day is over too early")
	}
	hold(t, a, time.Hour, midnight).Drop()
	// More than a whole day's time is never free.
	if r := a.Grant(alice, Limits{}, 2*time.Hour, midnight.Add(48*time.Hour)); r == nil || strings.Contains(strings.Join(r.Hints, ""), "retry") {
		t.Errorf("%+v", r)
	}
}

var midnight = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// TestSessionsOverMidnight: each day is charged for what ran in it.
func TestSessionsOverMidnight(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(*Room)
	}{
		{"reported", func(r *Room) { r.End(midnight.Add(20 * time.Minute)) }},
		{"never reported", func(*Room) {}},
	} {
		a := NewAccounts(Limits{Sessions: time.Hour})
		room := hold(t, a, 50*time.Minute, midnight.Add(-30*time.Minute))
		room.Begin(midnight.Add(-30 * time.Minute))
		// The new day has 20 minutes of the session still to come.
		if r := a.Grant(alice, Limits{}, 40*time.Minute, midnight); r != nil {
			t.Errorf("%s: more than the rest of the session is reserved: %+v", tt.name, r)
		}
		if r := a.Grant(alice, Limits{}, 41*time.Minute, midnight); r == nil {
			t.Errorf("%s: the rest of the session is not reserved", tt.name)
		}
		tt.end(room)
		wantRefusal(t, a.Grant(alice, Limits{}, 41*time.Minute, midnight.Add(20*time.Minute)), "sessions", "20m are used", "midnight", 23*time.Hour+40*time.Minute)
		if r := a.Grant(alice, Limits{}, 40*time.Minute, midnight.Add(20*time.Minute)); r != nil {
			t.Errorf("%s: more than 20 minutes are charged: %+v", tt.name, r)
		}
	}
}

// TestFailuresCostNothing: a claim that was late, refused or handed back is not
// charged, however long it lasted.
func TestFailuresCostNothing(t *testing.T) {
	a := NewAccounts(Limits{Sessions: time.Hour})
	room := hold(t, a, time.Hour, noon)
	room.Begin(noon)
	room.Wait(noon.Add(time.Minute))
	room.End(noon.Add(2 * time.Minute)) // a report of a session that has ended
	if r := a.Grant(alice, Limits{}, time.Hour, noon.Add(2*time.Minute)); r != nil {
		t.Errorf("%+v", r)
	}
	room = hold(t, a, time.Hour, noon)
	room.Begin(noon)
	room.Drop()
	if r := a.Grant(alice, Limits{}, time.Hour, noon.Add(2*time.Minute)); r != nil {
		t.Errorf("%+v", r)
	}
}

func TestUnusedAccountsAreDropped(t *testing.T) {
	a := NewAccounts(Limits{Grants: 10, Jobs: 1})
	for i := range 5000 {
		a.Grant(fmt.Sprint("oidc:https://x#", i), Limits{}, time.Minute, noon.Add(time.Duration(i)*time.Second))
	}
	if users := len(a.accounts); users > 1024 {
		t.Errorf("%d accounts", users)
	}
	room, _ := a.Take("key:busy", Limits{}, time.Hour, noon)
	room.Begin(noon.Add(5000 * time.Second))
	for i := range 3000 {
		a.Grant(fmt.Sprint("oidc:https://y#", i), Limits{}, time.Minute, noon.Add(5000*time.Second))
	}
	if a.rooms() != 1 {
		t.Error("a job that is under way was forgotten")
	}
	if room, r := NewAccounts(Limits{}).Take(alice, Limits{}, time.Hour, noon); room != nil || r != nil {
		t.Errorf("without limits something is counted: %v, %v", room, r)
	}
}

func TestConcurrentUse(t *testing.T) {
	a := NewAccounts(Limits{Jobs: 3, Sessions: 24 * time.Hour, Grants: 1000})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 300 {
				user := fmt.Sprint("key:", (w+i)%3)
				a.Grant(user, Limits{}, time.Minute, noon)
				room, r := a.Take(user, Limits{}, time.Minute, noon)
				if r != nil {
					continue
				}
				room.Begin(noon)
				if i%2 == 0 {
					room.Wait(noon)
				}
				room.Begin(noon)
				room.End(noon)
			}
		})
	}
	wg.Wait()
	if n := a.rooms(); n != 0 {
		t.Errorf("%d rooms are left", n)
	}
}
