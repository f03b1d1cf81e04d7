package directory

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/identity"
)

func listed(names ...string) []identity.Authorized {
	var agents []identity.Authorized
	for _, n := range names {
		agents = append(agents, identity.Authorized{Name: n, Fingerprint: "SHA256:" + n})
	}
	return agents
}

func TestStateFollowsTheAgent(t *testing.T) {
	now := time.Unix(1000, 0)
	d := New(listed("a", "b"))
	status := &api.Status{TotalCores: 4}
	d.Update("SHA256:a", status, now)
	poll, _ := d.Park("SHA256:a")
	select {
	case <-poll.Gone():
		t.Error("a listed agent is gone")
	default:
	}

	a, ok := d.Agent("SHA256:a")
	if !ok || a.Status != status || !a.Parked || !a.LastSeen.Equal(now) || a.Name != "a" {
		t.Errorf("after a poll: %+v", a)
	}
	if !a.Alive(now.Add(time.Hour), time.Second) {
		t.Error("a parked agent is not alive")
	}
	poll.End(now.Add(time.Minute))
	a, _ = d.Agent("SHA256:a")
	if a.Parked || !a.Alive(now.Add(time.Minute+time.Second), time.Second) || a.Alive(now.Add(time.Minute+2*time.Second), time.Second) {
		t.Errorf("after the poll ended: %+v", a)
	}
	if b, ok := d.Agent("SHA256:b"); !ok || b.Alive(now, time.Hour) || !b.LastSeen.IsZero() {
		t.Errorf("an agent that never polled: %+v", b)
	}
}

func TestUnlistedAgentsLeaveNoTrace(t *testing.T) {
	d := New(listed("a"))
	d.Update("SHA256:x", &api.Status{}, time.Now())
	if _, ok := d.Park("SHA256:x"); ok {
		t.Error("an agent that is not listed has parked")
	}
	d.Report("SHA256:x", api.OutcomeSucceeded)
	if _, ok := d.Agent("SHA256:x"); ok || d.Snapshot().Len() != 1 || len(d.Outcomes("SHA256:x")) != 0 {
		t.Error("the directory remembers an agent that is not listed")
	}
	if _, ok := d.Lookup("SHA256:x"); ok {
		t.Error("an agent that is not listed was found")
	}
}

func TestReplaceKeepsRecordsOfListedAgents(t *testing.T) {
	d := New(listed("a", "b"))
	d.Update("SHA256:a", &api.Status{TotalCores: 4}, time.Now())
	d.Report("SHA256:a", api.OutcomeSucceeded)
	pollA, _ := d.Park("SHA256:a")
	pollB, _ := d.Park("SHA256:b")
	var revoked []string
	d.OnRevoked(func(who identity.Authorized) {
		if _, still := d.Lookup(who.Fingerprint); still {
			t.Errorf("%s is found while it is revoked", who.Name)
		}
		revoked = append(revoked, who.Name)
	})
	next := listed("c", "a")
	next[1].Name, next[1].Targets = "renamed", []string{"esp32"}
	if added, removed := d.Replace(next); added != 1 || removed != 1 {
		t.Errorf("%d added, %d removed", added, removed)
	}
	if a, _ := d.Agent("SHA256:a"); a.Name != "renamed" || a.Status.TotalCores != 4 || !a.Parked || !a.MayBuild("esp32") || a.MayBuild("esp32c3") {
		t.Errorf("the agent that stayed: %+v", a)
	}
	if got := d.Outcomes("SHA256:a"); !maps.Equal(got, map[api.Outcome]int64{api.OutcomeSucceeded: 1}) {
		t.Errorf("its outcomes: %v", got)
	}
	if _, ok := d.Lookup("SHA256:b"); ok {
		t.Error("the removed agent is still listed")
	}
	if !slices.Equal(revoked, []string{"b"}) {
		t.Errorf("revoked: %v", revoked)
	}
	<-pollB.Gone()
	select {
	case <-pollA.Gone():
		t.Error("the agent that stays is gone")
	default:
	}
	pollA.End(time.Now())
	pollB.End(time.Now())
	if a, _ := d.Agent("SHA256:a"); a.Parked {
		t.Error("its poll stays parked under its new name")
	}
}

func TestEveryOutcomeIsCounted(t *testing.T) {
	d := New(listed("a"))
	for _, o := range outcomes {
		r := api.Report{Outcome: o}
		if err := r.Validate(); err != nil {
			t.Errorf("%s is counted but not valid: %v", o, err)
		}
		d.Report("SHA256:a", o)
		d.Report("SHA256:a", o)
		if n := d.Outcomes("SHA256:a")[o]; n != 2 {
			t.Errorf("%s was counted %d times", o, n)
		}
	}
	d.Report("SHA256:a", "made_up")
	if n := len(d.Outcomes("SHA256:a")); n != len(outcomes) {
		t.Errorf("%d outcomes are known", n)
	}
}

func TestConcurrentUse(t *testing.T) {
	d := New(listed("a", "b"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 500 {
				id := fmt.Sprintf("SHA256:%c", 'a'+(i+n)%3)
				d.Update(id, &api.Status{}, time.Now())
				poll, ok := d.Park(id)
				if n%50 == 0 {
					d.Replace(listed("a", string(rune('b'+n%2))))
				}
				for s, k := d.Snapshot(), 0; k < s.Len(); k++ {
					s.At(k)
				}
				if ok {
					if n%3 == 0 {
						poll.Break()
					}
					poll.End(time.Now())
				}
			}
		})
	}
	wg.Wait()
	d.Replace(listed("a", "b", "c"))
	for s, k := d.Snapshot(), 0; k < s.Len(); k++ {
		if s.At(k).Parked {
			t.Errorf("%s is still parked", s.At(k).Name)
		}
	}
}

func TestSnapshotsAreInTheOrderOfNames(t *testing.T) {
	d := New(listed("c", "a", "d", "b"))
	s := d.Snapshot()
	for i, want := range []string{"a", "b", "c", "d"} {
		if got := s.At(i); got.Name != want {
			t.Errorf("%d is %s", i, got.Name)
		}
		if at, ok := s.Behind("SHA256:" + want); !ok || at != i+1 {
			t.Errorf("behind %s is %d, %v", want, at, ok)
		}
	}
	if at, ok := s.Behind("SHA256:x"); ok {
		t.Errorf("behind a stranger is %d", at)
	}
	d.Replace(listed("a"))
	if at, ok := s.Behind("SHA256:d"); !ok || at != s.Len() {
		t.Error("the snapshot changed")
	}
}

// TestExpiredReservationsMakeRoom for the next claim, without a poll in between.
func TestExpiredReservationsMakeRoom(t *testing.T) {
	d, now := New(listed("a")), time.Unix(1000, 0)
	if err := d.Update("SHA256:a", &api.Status{TotalCores: 4, FreeCores: 4, TotalMemMB: 100, FreeMemMB: 100}, now); err != nil {
		t.Fatal(err)
	}
	claim := func(job string, at time.Time) bool {
		return d.Reserve("SHA256:a", Reservation{Job: job, Need: capacity.Capacity{Cores: 4, MemoryMB: 1}, Since: at, Until: at.Add(time.Second)})
	}
	if !claim("first", now) || claim("second", now.Add(time.Second)) {
		t.Error("the first reservation does not count until its time is over")
	}
	if !claim("second", now.Add(2*time.Second)) {
		t.Error("a reservation whose time is over keeps another job out")
	}
	if a, _ := d.Agent("SHA256:a"); a.Free.Cores != 0 || len(a.Account.Held()) != 1 {
		t.Errorf("%+v free, %d held", a.Free, len(a.Account.Held()))
	}
	if totals := d.Totals(now.Add(time.Minute)); totals.Reservations != 0 || totals.Expired != 2 {
		t.Errorf("%+v", totals)
	}
}

// observed records what an observer receives.
type observed struct {
	mu   sync.Mutex
	last map[string]*Agent
	ends []string
}

func (o *observed) Update(a *Agent, _ time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last[a.Fingerprint] = a
}

func (o *observed) Remove(fingerprint string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.last, fingerprint)
	o.ends = append(o.ends, fingerprint)
}

// TestTheObserverSeesEveryChange: in the end it has seen the state that readers see,
// also of agents that were removed and listed again meanwhile.
func TestTheObserverSeesEveryChange(t *testing.T) {
	d, o := New(listed("a", "b")), &observed{last: map[string]*Agent{}}
	d.Observe(o)
	if len(o.last) != 2 {
		t.Fatalf("%d of 2 listed agents at the start", len(o.last))
	}
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			for n := range 300 {
				id := fmt.Sprintf("SHA256:%c", 'a'+(i+n)%3)
				now := time.Unix(int64(n), 0)
				_ = d.Update(id, &api.Status{TotalCores: 8, FreeCores: 8, TotalMemMB: 8, FreeMemMB: 8}, now)
				poll, parked := d.Park(id)
				d.Reserve(id, Reservation{Job: fmt.Sprint(i, n), Need: capacity.Capacity{Cores: 1}, Since: now, Until: now.Add(10 * time.Second)})
				if i == 0 && n%10 == 0 {
					d.Replace(listed("a", string(rune('b'+n/10%2))))
				}
				if parked {
					poll.End(now)
				}
			}
		})
	}
	wg.Wait()
	d.Replace(listed("a", "b"))
	for _, name := range []string{"SHA256:a", "SHA256:b"} {
		want, _ := d.Agent(name)
		got := o.last[name]
		if got == nil || got.Status != want.Status || got.Free != want.Free || got.Parked != want.Parked || !slices.Equal(got.Account.Held(), want.Account.Held()) {
			t.Errorf("%s: the observer has %+v, readers see %+v", name, got, want)
		}
	}
	if len(o.last) != 2 || !slices.Contains(o.ends, "SHA256:b") {
		t.Errorf("%d agents are left, removed were %v", len(o.last), o.ends)
	}
}
