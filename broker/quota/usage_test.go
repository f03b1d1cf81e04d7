package quota

import (
	"slices"
	"testing"
	"time"
)

func TestUsage(t *testing.T) {
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	l := NewAccounts(Limits{Jobs: 8, Sessions: 4 * time.Hour})
	want := func(user string, own Limits, now time.Time, jobs int, sessions time.Duration) {
		t.Helper()
		u := l.Usage(user, own, now)
		if u.Jobs != jobs || u.Sessions != sessions || u.Limits != own.Or(l.Defaults()) {
			t.Errorf("%s at %v: %+v; want %d jobs, %v", user, now, u, jobs, sessions)
		}
	}
	want("key:alice", Limits{}, noon, 0, 0)
	waiting, refusal := l.Take("key:alice", Limits{}, time.Hour, noon)
	running, refusal2 := l.Take("key:alice", Limits{}, time.Hour, noon)
	if refusal != nil || refusal2 != nil {
		t.Fatal(refusal, refusal2)
	}
	running.Begin(noon)
	waiting.Keep(noon.Add(30 * time.Second))
	want("key:alice", Limits{Jobs: 3}, noon.Add(time.Minute), 2, time.Minute)
	running.End(noon.Add(10 * time.Minute))
	want("key:alice", Limits{}, noon.Add(20*time.Minute), 0, 10*time.Minute) // the waiting one was forgotten
	if active := l.Active(noon.Add(20 * time.Minute)); !slices.Equal(active, []string{"key:alice"}) {
		t.Errorf("active: %v", active)
	}
	tomorrow := noon.Add(24 * time.Hour)
	want("key:alice", Limits{}, tomorrow, 0, 0)
	if active := l.Active(tomorrow); len(active) != 0 {
		t.Errorf("active on the next day: %v", active)
	}
	free, refusal := l.Take("key:bob", Limits{Jobs: Unlimited, Sessions: Unlimited}, time.Hour, noon)
	if free != nil || refusal != nil {
		t.Fatal(free, refusal)
	}
	want("key:bob", Limits{Jobs: Unlimited, Sessions: Unlimited}, noon, 0, 0)
}
