package scheduler

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/nat"
)

func cores(n int) func(*directory.Agent) {
	return func(a *directory.Agent) { a.Status.TotalCores, a.Status.FreeCores = n, n }
}

// many returns n agents that are alike.
func many(n int, name string, change ...func(*directory.Agent)) []directory.Agent {
	var all []directory.Agent
	for i := range n {
		a := buildsIDF(fmt.Sprint(name, i))
		for _, f := range change {
			f(&a)
		}
		all = append(all, a)
	}
	return all
}

// TestFreeAgentIsFoundAmongMany hides the one agent with room for the job among more
// others than a choice scores, for each reason that others have no room.
func TestFreeAgentIsFoundAmongMany(t *testing.T) {
	large := idf
	large.Capacity = capacity.Capacity{Cores: 8, MemoryMB: 8192}
	behindNAT := idf
	behindNAT.NAT = nat.Parse("port/port")
	none := idf
	for i := range api.MaxAgents {
		none.Exclude = append(none.Exclude, fmt.Sprint("other", i))
	}
	for name, tt := range map[string]struct {
		need   Need
		others []directory.Agent
	}{
		"too small":         {large, many(600, "other", cores(4))},
		"too small now":     {large, many(600, "other", free(4))},
		"too little memory": {large, many(600, "other", func(a *directory.Agent) { a.Status.FreeMemMB = 4096 })},
		"busy":              {idf, many(600, "other", busy, free(0))},
		"full":              {idf, many(600, "other", free(0))},
		"excluded":          {none, many(api.MaxAgents, "other")},
		"behind a NAT":      {behindNAT, many(600, "other", behind("address/port"))},
		"offline":           {idf, many(600, "other", lost)},
	} {
		f := farmOf(append(tt.others, with(with(buildsIDF("busy"), busy), free(0)), buildsIDF("free"))...)
		for seed := range uint64(50) {
			if got := f.Choose(tt.need, options(seed)); len(got) == 0 || got[0].Name != "free" {
				t.Errorf("among 600 that are %s, seed %d: %+v", name, seed, got)
				break
			}
		}
	}
}

// TestBusyAgentIsFoundAmongMany: the busy agent is the only able one.
func TestBusyAgentIsFoundAmongMany(t *testing.T) {
	f := farmOf(append(many(2000, "offline", lost), with(buildsIDF("busy"), busy))...)
	for seed := range uint64(50) {
		if got := f.Choose(idf, options(seed)); len(got) != 1 || got[0].Name != "busy" {
			t.Fatalf("seed %d: %+v", seed, got)
		}
	}
}

// TestEditsOfTheListCountAtOnce, without a poll in between.
func TestEditsOfTheListCountAtOnce(t *testing.T) {
	a := buildsIDF("a")
	f := farmOf(a)
	choose := func(n Need) string {
		if got := f.Choose(n, options(1)); len(got) > 0 {
			return got[0].Name
		}
		return string(Explain(f.dir.Snapshot(), n, options(1)).Code)
	}
	tagged := idf
	tagged.Tags = []string{"eu"}
	if got := choose(idf) + " " + choose(tagged); got != "a no_tag" {
		t.Fatalf("before the edits: %s", got)
	}
	f.list(with(a, func(a *directory.Agent) { a.Targets = []string{"esp32"} }))
	if got := choose(idf); got != string(api.CodeNoTarget) {
		t.Errorf("limited to another target: %s", got)
	}
	f.list(with(a, func(a *directory.Agent) { a.Tags = []string{"eu"} }))
	if got := choose(tagged); got != "a" {
		t.Errorf("with a tag: %s", got)
	}
	f.list(with(a, func(a *directory.Agent) { a.Name = "b" }))
	pinned := idf
	if pinned.Agents = []string{"b"}; choose(pinned) != "b" {
		t.Errorf("renamed: %s", choose(pinned))
	}
	if pinned.Agents = []string{"a"}; choose(pinned) != string(api.CodeNoAgent) {
		t.Errorf("under its old name: %s", choose(pinned))
	}
	f.unlist(a.Fingerprint)
	if got := choose(idf); got != string(api.CodeNoAgent) {
		t.Errorf("taken off the list: %s", got)
	}
	f.list(a)
	f.set(a, now)
	if got := choose(idf); got != "a" {
		t.Errorf("listed again: %s", got)
	}
}

// TestIndexUnderConcurrentUse makes agents poll, claim, fail, change targets, leave
// the list and return while choices run, and then compares the index with the
// directory.
func TestIndexUnderConcurrentUse(t *testing.T) {
	const size = 150
	f := newTestFarm()
	agents := many(size, "a")
	f.list(agents...)
	var wg sync.WaitGroup
	var replacing sync.Mutex
	for g := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(7, uint64(g)))
			for i := range 600 {
				a := agents[g+8*rnd.IntN(size/8)] // no other goroutine uses it
				at := now.Add(time.Duration(i) * time.Second)
				switch rnd.IntN(8) {
				case 0:
					caps := agent("", []string{"esp32c3 esp-idf 5.3.1", "esp32 esp-idf 5.4"}[rnd.IntN(2)])
					_ = f.dir.Update(a.Fingerprint, caps.Status, at)
				case 1, 2:
					p, ok := f.dir.Park(a.Fingerprint)
					if ok && rnd.IntN(4) > 0 {
						p.End(at)
					}
				case 3:
					job := fmt.Sprint(g, i)
					f.dir.Reserve(a.Fingerprint, directory.Reservation{Job: job, Need: idf.Capacity, Since: at, Until: at.Add(time.Hour), Done: at.Add(time.Minute)})
					if rnd.IntN(2) == 0 {
						f.dir.Release(a.Fingerprint, job, at)
					}
				case 4:
					f.Learn(Result{Agent: a.Fingerprint, Target: idf.Target, Verdict: Verdict(1 + rnd.IntN(2)), Project: rnd.Uint64N(50), Took: time.Duration(1+rnd.IntN(100)) * time.Second, At: at})
				case 5:
					if rnd.IntN(20) == 0 {
						replacing.Lock()
						f.unlist(a.Fingerprint)
						f.list(a)
						replacing.Unlock()
					}
				default:
					f.Choose(idf, Options{Now: at, Grace: time.Hour, Max: 4, Seed: rnd.Uint64()})
				}
			}
		})
	}
	wg.Wait()
	f.checkIndex(t)
	for _, a := range agents {
		f.unlist(a.Fingerprint)
	}
	if n := len(*f.classes.Load()); n != 0 {
		t.Errorf("%d classes have no agent", n)
	}
}

// checkIndex compares every seat with its agent, and every count with the seats.
func (f *testFarm) checkIndex(t *testing.T) {
	t.Helper()
	seated := map[*member]bool{}
	for _, c := range *f.classes.Load() {
		open, taken := 0, 0
		for at := range c.shelves {
			s, openHere := &c.shelves[at], 0
			for i := 0; s.benches.Load() != nil && i < len(*s.benches.Load())*seats; i++ {
				b, bit := (*s.benches.Load())[i/seats], uint64(1)<<(i%seats)
				m := b.taken[i%seats].Load()
				isOpen := b.open.Load()&bit != 0
				if isOpen {
					openHere++
				}
				if m == nil {
					if isOpen {
						t.Errorf("an empty seat is open")
					}
					continue
				}
				taken++
				a := m.facts.Load()
				if seated[m] || a == nil || a.class != c || m.seat != (seat{c, at, b, i}) {
					t.Errorf("%s has the wrong seat", m.fingerprint)
					continue
				}
				seated[m] = true
				if want := a.parked && a.free.Cores > 0; isOpen && !want || isOpen && unpack(b.room[i%seats].Load()) != a.free {
					t.Errorf("%s: its seat is open with %+v, but it has %+v and parked is %v", m.fingerprint, unpack(b.room[i%seats].Load()), a.free, a.parked)
				}
			}
			if openHere != int(s.open.Load()) {
				t.Errorf("a shelf counts %d open seats of %d", s.open.Load(), openHere)
			}
			open += openHere
		}
		if open != int(c.open.Load()) || taken != int(c.taken.Load()) || taken != c.members {
			t.Errorf("a class counts %d open and %d taken seats and %d members, it has %d and %d", c.open.Load(), c.taken.Load(), c.members, open, taken)
		}
	}
	for snapshot, i := f.dir.Snapshot(), 0; i < snapshot.Len(); i++ {
		a := snapshot.At(i)
		m := f.member(a.Fingerprint)
		if a.Status == nil {
			continue
		}
		if m == nil || !seated[m] {
			t.Errorf("%s has no seat", a.Name)
			continue
		}
		if facts := m.facts.Load(); facts.Status != a.Status || facts.parked != a.Parked || facts.free != a.Free || !slices.Equal(facts.held, a.Account.Held()) {
			t.Errorf("%s: the farm has other facts than the directory", a.Name)
		}
	}
}
