package rendezvous

import (
	"container/list"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/capacity"
)

type testLine struct {
	line[*testClaim]
	tickets uint64
}

func (l *testLine) join(user string, cores int) *list.Element {
	l.tickets++
	e := newEntry(user, cores)
	e.ticket = l.tickets
	return l.add(place[*testClaim]{job: e})
}

// serve takes the next job n times, as one agent with much room does, and returns
// the users.
func (l *testLine) serve(n int, where map[*Entry[*testClaim]]*list.Element) string {
	var order []string
	for range n {
		p := l.next(capacity.Capacity{Cores: 100, MemoryMB: 100}, nil)
		if p == nil {
			break
		}
		order = append(order, p.job.User)
		take(p.job)
		l.remove(where[p.job])
	}
	return strings.Join(order, " ")
}

func TestLineIsFair(t *testing.T) {
	for _, tt := range []struct {
		name, jobs, want string
	}{
		{"one user: by age", "a1 a1 a1", "a a a"},
		{"many jobs delay no other user", "a1 a1 a1 a1 a1 b1", "a b a a a a"},
		{"three in turn", "a1 a1 a1 b1 b1 c1", "a b c a b a"},
		{"large jobs are paid for", "a4 a4 b1 b1 b1 b1 b1 b1", "b b b a b b b a"},
		{"alone it costs nothing", "a64 a64", "a a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var l testLine
			where := map[*Entry[*testClaim]]*list.Element{}
			n := 0
			for _, f := range strings.Fields(tt.jobs) {
				var cores int
				fmt.Sscan(f[1:], &cores)
				e := l.join(f[:1], cores)
				where[e.Value.(place[*testClaim]).job] = e
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

// TestLinePosition: a position is the number of jobs that are served up to the job.
func TestLinePosition(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 0))
	for range 200 {
		var l testLine
		where := map[*Entry[*testClaim]]*list.Element{}
		for range 1 + rnd.IntN(12) {
			e := l.join(string("abc"[rnd.IntN(3)]), 1)
			where[e.Value.(place[*testClaim]).job] = e
		}
		for len(where) > 0 {
			for own := range where {
				if p := l.position(where[own], time.Time{}); p < 1 || p > len(where) {
					t.Fatalf("position %d of %d", p, len(where))
				}
			}
			p := l.next(capacity.Capacity{Cores: 1, MemoryMB: 1}, nil)
			if at := l.position(where[p.job], time.Time{}); at > len(l.users) {
				t.Fatalf("the job that was served next had place %d of %d users", at, len(l.users))
			}
			take(p.job)
			l.remove(where[p.job])
			delete(where, p.job)
		}
	}
}

// TestNoUserStarvesAnother: a user with many offers of many cores gets no more cores
// than a user with a few of one core.
func TestNoUserStarvesAnother(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 0))
	var l testLine
	where := map[*Entry[*testClaim]]*list.Element{}
	join := func(user string) {
		cores := map[string]int{"greedy": 1 + rnd.IntN(16), "modest": 1, "plain": 2}[user]
		e := l.join(user, cores)
		where[e.Value.(place[*testClaim]).job] = e
	}
	for range 50 {
		join("greedy")
	}
	join("modest")
	join("plain")
	got := map[string]int{}
	for range 5000 {
		p := l.next(capacity.Capacity{Cores: 16, MemoryMB: 16}, nil)
		got[p.job.User] += p.job.Need.Cores
		take(p.job)
		l.remove(where[p.job])
		delete(where, p.job)
		join(p.job.User)
	}
	for user, cores := range got {
		if sum := got["greedy"] + got["modest"] + got["plain"]; cores*100 < sum*28 || cores*100 > sum*38 {
			t.Errorf("%s got %d of %d cores", user, cores, sum)
		}
	}
}

// TestPlacesAreExact: with equal costs and no arrivals, each job is served at its
// place.
func TestPlacesAreExact(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 0))
	for range 200 {
		var l testLine
		where := map[*Entry[*testClaim]]*list.Element{}
		cores := 1 + rnd.IntN(4)
		for range 1 + rnd.IntN(12) {
			e := l.join(string("abcd"[rnd.IntN(4)]), cores)
			where[e.Value.(place[*testClaim]).job] = e
		}
		places := map[*Entry[*testClaim]]int{}
		for j, own := range where {
			places[j] = l.position(own, time.Time{})
		}
		for n := 1; len(where) > 0; n++ {
			j := l.next(capacity.Capacity{Cores: cores, MemoryMB: 1}, nil).job
			if places[j] != n {
				t.Fatalf("the job at place %d is served at place %d", places[j], n)
			}
			take(j)
			l.remove(where[j])
			delete(where, j)
		}
	}
}
