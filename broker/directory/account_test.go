package directory

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/farforge/farforge/common/capacity"
)

var start = time.Unix(1_000_000, 0)

func after(d time.Duration) time.Time { return start.Add(d) }

func TestReserve(t *testing.T) {
	var a Account
	r := func(job string, cores int) Reservation {
		return Reservation{Job: job, Need: capacity.Capacity{Cores: cores, MemoryMB: 100}, Since: start, Until: after(time.Hour)}
	}
	if a.Reserve(r("early", 1)) {
		t.Fatal("reserved on an agent that has not polled")
	}
	whole := capacity.Capacity{Cores: 8, MemoryMB: 1000}
	a.Status(whole, whole, nil, nil, start)
	for _, tt := range []struct {
		job   string
		cores int
		ok    bool
		free  int
	}{{"a", 4, true, 4}, {"b", 5, false, 4}, {"b", 4, true, 0}, {"b", 4, true, 0}, {"c", 1, false, 0}} {
		if ok := a.Reserve(r(tt.job, tt.cores)); ok != tt.ok || a.Free().Cores != tt.free {
			t.Fatalf("%+v: %v, %+v free", tt, ok, a.Free())
		}
	}
	// The first status was sent before both claims; the next one lists a.
	a.Status(whole, whole, nil, nil, after(time.Second))
	if a.Free().Cores != 0 {
		t.Fatalf("an old status freed what was promised: %+v", a.Free())
	}
	a.Status(whole, capacity.Capacity{Cores: 4, MemoryMB: 900}, []string{"a"}, nil, after(2*time.Second))
	if a.Free().Cores != 0 {
		t.Fatalf("a was counted as ended, or twice: %+v", a.Free())
	}
	if !a.Release("a") || a.Release("a") || a.Free().Cores != 4 {
		t.Fatalf("released a: %+v", a.Free())
	}
	// The report of b is lost. Until settle has passed, a status without b may have
	// been sent before the claim.
	if !a.Answer("b", after(time.Hour)) || a.Answer("a", after(time.Hour)) {
		t.Fatal("answered a, or not b")
	}
	if n := a.Status(whole, whole, nil, nil, after(settle)); n != 0 || a.Free().Cores != 4 {
		t.Fatalf("a status that may be old has ended %d: %+v", n, a.Free())
	}
	if n := a.Status(whole, whole, nil, nil, after(settle+1)); n != 1 || a.Free() != whole || len(a.Held()) != 0 {
		t.Fatalf("b did not heal, %d ended: %+v", n, a.Free())
	}
	// A job that the status lists as ended ends at once.
	a.Reserve(r("b", 4))
	if n := a.Status(whole, whole, nil, []string{"x", "b"}, after(1)); n != 1 || a.Free() != whole {
		t.Fatalf("b did not end, %d did: %+v", n, a.Free())
	}
	// c is claimed and listed; then the claim ends. The next status says whether c
	// still runs.
	a.Reserve(r("c", 4))
	a.Status(whole, capacity.Capacity{Cores: 4, MemoryMB: 900}, []string{"c"}, nil, after(settle+2))
	if !a.Drop("c") || a.Drop("c") || a.Free() != (capacity.Capacity{Cores: 4, MemoryMB: 900}) {
		t.Fatalf("dropped c: %+v", a.Free())
	}
	a.Status(whole, whole, nil, nil, after(settle+3))
	// An agent that has gone sends no status: the reservation expires.
	a.Reserve(r("d", 8))
	if n := a.Expire(after(time.Hour)); n != 0 || a.Free().Cores != 0 {
		t.Fatal("expired too early")
	}
	if n := a.Expire(after(time.Hour + 1)); n != 1 || a.Free() != whole {
		t.Fatalf("%d expired: %+v", n, a.Free())
	}
}

// TestOtherLoadIsNotPromised: the agent runs other programs, too.
func TestOtherLoadIsNotPromised(t *testing.T) {
	var a Account
	a.Status(capacity.Capacity{Cores: 8, MemoryMB: 1000}, capacity.Capacity{Cores: 3, MemoryMB: 1000}, nil, nil, start)
	if a.Reserve(Reservation{Job: "a", Need: capacity.Capacity{Cores: 4, MemoryMB: 1}, Since: start, Until: after(1)}) {
		t.Fatal("promised cores that are not free by the status")
	}
}

// TestNeverOversold plays an account and an agent in random order: statuses arrive
// late and out of order, jobs begin and end at any moment, reports are lost. The
// claimed jobs must fit into the agent at every moment, and in the end everything
// must be free again.
func TestNeverOversold(t *testing.T) {
	const life = 3 * time.Second // of a claim without an answer
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		whole := capacity.Capacity{Cores: 8, MemoryMB: 8000}
		type job struct {
			need    capacity.Capacity
			claimed time.Time
			began   bool
		}
		type status struct {
			free    capacity.Capacity
			running []string
			sent    time.Time
		}
		var (
			a       Account
			now     = start
			claimed = map[string]*job{} // on the way to the agent, or running there
			mail    []status
		)
		used := func(onlyBegan bool) (c capacity.Capacity) {
			for _, j := range claimed {
				if j.began || !onlyBegan {
					c.Cores += j.need.Cores
					c.MemoryMB += j.need.MemoryMB
				}
			}
			return c
		}
		says := func() status {
			s := status{free: whole.Minus(used(true)), sent: now}
			for id, j := range claimed {
				if j.began {
					s.running = append(s.running, id)
				}
			}
			return s
		}
		a.Status(whole, whole, nil, nil, now)
		for n := range 400 {
			now = now.Add(time.Duration(rnd.IntN(700)) * time.Millisecond)
			a.Expire(now)
			switch rnd.IntN(6) {
			case 0, 1:
				id, need := fmt.Sprint("job", n), capacity.Capacity{Cores: 1 + rnd.IntN(4), MemoryMB: 500 * (1 + rnd.IntN(6))}
				if a.Reserve(Reservation{Job: id, Need: need, Since: now, Until: now.Add(time.Hour)}) {
					claimed[id] = &job{need: need, claimed: now}
				}
			case 2:
				mail = append(mail, says())
			case 3:
				if i := rnd.IntN(4); i < len(mail) { // late, and not always in order
					if now.Sub(mail[i].sent) < settle-life {
						a.Status(whole, mail[i].free, mail[i].running, nil, now)
					}
					mail = slices.Delete(mail, i, i+1)
				}
			default:
				if len(claimed) > 0 {
					ids := slices.Sorted(maps.Keys(claimed))
					id := ids[rnd.IntN(len(ids))]
					j := claimed[id]
					if !j.began {
						j.began = true
						a.Answer(id, now.Add(time.Hour))
					} else {
						delete(claimed, id)
						if rnd.IntN(4) > 0 { // else the report is lost
							a.Release(id)
						}
					}
				}
			}
			for _, id := range slices.Sorted(maps.Keys(claimed)) { // no job begins later than its claim expires
				if j := claimed[id]; !j.began && (rnd.IntN(8) == 0 || now.Sub(j.claimed) > life-700*time.Millisecond) {
					j.began = true // and the answer is lost
				}
			}
			if u := used(false); !whole.Fits(u) {
				t.Fatalf("seed %d, step %d: %+v promised of %+v", seed, n, u, whole)
			}
		}
		clear(claimed)
		now = now.Add(settle + time.Second)
		s := says()
		a.Status(whole, s.free, s.running, nil, now)
		if a.Free() != whole {
			t.Fatalf("seed %d: %+v free at the end, %d held", seed, a.Free(), len(a.Held()))
		}
	}
}
