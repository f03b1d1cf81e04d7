package rendezvous

import (
	"container/list"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/farforge/farforge/common/capacity"
)

var (
	ticket  uint64
	waiters atomic.Int64
)

func (l *line) join(user string, cores int) *list.Element {
	ticket++
	return l.add(place{job: &job{id: fmt.Sprint(user, ticket), user: user, ticket: ticket, waiters: &waiters, need: capacity.Capacity{Cores: cores, MemoryMB: 1}}})
}

// serve takes what is next, as one agent with much room would, n times, and
// returns whose it was.
func (l *line) serve(n int, where map[*job]*list.Element) string {
	var order []string
	for range n {
		p := l.next(capacity.Capacity{Cores: 100, MemoryMB: 100})
		if p == nil {
			break
		}
		order = append(order, p.job.user)
		p.job.set(claimed)
		l.remove(where[p.job])
	}
	return strings.Join(order, " ")
}

func TestLineIsFair(t *testing.T) {
	for _, tt := range []struct {
		name, jobs, want string
	}{
		{"one user: by age", "a1 a1 a1", "a a a"},
		{"many jobs delay nobody", "a1 a1 a1 a1 a1 b1", "a b a a a a"},
		{"three in turn", "a1 a1 a1 b1 b1 c1", "a b c a b a"},
		{"large jobs are paid for", "a4 a4 b1 b1 b1 b1 b1 b1", "b b b a b b b a"},
		{"alone it costs nothing", "a64 a64", "a a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var l line
			where := map[*job]*list.Element{}
			n := 0
			for _, f := range strings.Fields(tt.jobs) {
				var cores int
				fmt.Sscan(f[1:], &cores)
				e := l.join(f[:1], cores)
				where[e.Value.(place).job] = e
				n++
			}
			if got := l.serve(n+1, where); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if l.jobs != 0 || l.ring.Len() != 0 || len(l.users) != 0 || l.turn != nil {
				t.Errorf("not empty: %+v", l)
			}
		})
	}
}

// TestLinePosition: what a job is told is how many are served up to it.
func TestLinePosition(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 0))
	for range 200 {
		var l line
		where := map[*job]*list.Element{}
		for range 1 + rnd.IntN(12) {
			e := l.join(string("abc"[rnd.IntN(3)]), 1)
			where[e.Value.(place).job] = e
		}
		for len(where) > 0 {
			for own := range where {
				if p := l.position(where[own]); p < 1 || p > len(where) {
					t.Fatalf("position %d of %d", p, len(where))
				}
			}
			p := l.next(capacity.Capacity{Cores: 1, MemoryMB: 1})
			if at := l.position(where[p.job]); at > len(l.users) {
				t.Fatalf("who was served next was told place %d of %d users'", at, len(l.users))
			}
			p.job.set(claimed)
			l.remove(where[p.job])
			delete(where, p.job)
		}
	}
}

// TestNoUserStarvesAnother: a user who offers again and again, and asks for
// more each time, gets no more cores than one who asks for little.
func TestNoUserStarvesAnother(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 0))
	var l line
	where := map[*job]*list.Element{}
	join := func(user string) {
		cores := map[string]int{"greedy": 1 + rnd.IntN(16), "modest": 1, "plain": 2}[user]
		e := l.join(user, cores)
		where[e.Value.(place).job] = e
	}
	for range 50 {
		join("greedy")
	}
	join("modest")
	join("plain")
	got := map[string]int{}
	for range 5000 {
		p := l.next(capacity.Capacity{Cores: 16, MemoryMB: 16})
		got[p.job.user] += p.job.need.Cores
		p.job.set(claimed)
		l.remove(where[p.job])
		delete(where, p.job)
		join(p.job.user)
	}
	for user, cores := range got {
		if sum := got["greedy"] + got["modest"] + got["plain"]; cores*100 < sum*28 || cores*100 > sum*38 {
			t.Errorf("%s got %d of %d cores", user, cores, sum)
		}
	}
}

// TestFairThroughTheDoor: the same with real offers and polls, of a job that
// asks anew and keeps its place.
func TestFairThroughTheDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		defer r.Close()
		by := func(user, id string, wait time.Duration) Offer {
			o := offer(id, wait, "A")
			o.User = user
			return o
		}
		for _, id := range []string{"a1", "a2", "a3"} {
			goOffer(t.Context(), r, by("alice", id, time.Minute))
			synctest.Wait()
		}
		first := goOffer(t.Context(), r, by("bob", "b1", time.Second))
		time.Sleep(2 * time.Second)
		res := <-first
		if w, ok := res.err.(*WaitingError); !ok || w.Position != 2 {
			t.Fatalf("bob is told %v", res.err)
		}
		goOffer(t.Context(), r, by("bob", "b1", time.Minute))
		synctest.Wait()
		for _, id := range []string{"a1", "b1", "a2", "a3"} {
			wantJob(t, "park", goPark(t.Context(), r, poll("A", time.Second)), id)
			answerOK(t, r, id, "A")
		}
	})
}
