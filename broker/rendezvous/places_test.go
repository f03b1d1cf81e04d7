package rendezvous

import (
	"container/list"
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/farforge/farforge/common/capacity"
)

// TestPlacesComeTrue: where all jobs cost the same and nobody comes or goes, each
// is served just when its place said.
func TestPlacesComeTrue(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 0))
	for range 200 {
		var l line
		where := map[*job]*list.Element{}
		cores := 1 + rnd.IntN(4)
		for range 1 + rnd.IntN(12) {
			e := l.join(string("abcd"[rnd.IntN(4)]), cores)
			where[e.Value.(place).job] = e
		}
		told := map[*job]int{}
		for j, own := range where {
			told[j] = l.position(own)
		}
		for n := 1; len(where) > 0; n++ {
			j := l.next(capacity.Capacity{Cores: cores, MemoryMB: 1}).job
			if told[j] != n {
				t.Fatalf("the job that was told place %d is served at place %d", told[j], n)
			}
			j.set(claimed)
			l.remove(where[j])
			delete(where, j)
		}
	}
}

// TestPlacesBetweenRequests: a client that asks again after a second is in line
// meanwhile, for those behind it; one that has gone is not for long.
func TestPlacesBetweenRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		defer r.Close()
		place := func(id string) int {
			t.Helper()
			var w *WaitingError
			if _, err := r.Offer(t.Context(), offer(id, time.Second, "A")); !errors.As(err, &w) {
				t.Fatalf("%s: %v", id, err)
			}
			return w.Position
		}
		first := func(want int) {
			t.Helper()
			if got := place("first"); got != want {
				t.Errorf("first is told %d, want %d", got, want)
			}
		}
		second := func(want int) {
			t.Helper()
			if got := place("second"); got != want {
				t.Errorf("second is told %d, want %d", got, want)
			}
		}
		first(1)
		second(2) // first is away for a second
		time.Sleep(time.Second)
		first(1)
		second(2)
		time.Sleep(between)
		second(1) // first has not come back
		first(1)
		ctx, hangUp := context.WithCancel(t.Context())
		gone := goOffer(ctx, r, offer("first", time.Minute, "A"))
		synctest.Wait()
		second(2)
		hangUp()
		<-gone
		second(1)
	})
}
