package jobs

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestPlacesBetweenRequests: a job counts in the places of others for the second
// between two requests of its client, and not for long when the client is gone.
func TestPlacesBetweenRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{})
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
				t.Errorf("first is at place %d, want %d", got, want)
			}
		}
		second := func(want int) {
			t.Helper()
			if got := place("second"); got != want {
				t.Errorf("second is at place %d, want %d", got, want)
			}
		}
		first(1)
		second(2) // first is away for a second
		time.Sleep(time.Second)
		first(1)
		second(2)
		time.Sleep(between)
		second(1) // first has not returned
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

// TestOffersAreServedFairly: lines are fair between users, and a job keeps its place
// when its client offers it again.
func TestOffersAreServedFairly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{})
		defer r.Close()
		by := func(user, id string, wait time.Duration) posted {
			o := offer(id, wait, "A")
			o.User = "oidc:https://issuer.example.org#" + user
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
			t.Fatalf("bob gets %v", res.err)
		}
		goOffer(t.Context(), r, by("bob", "b1", time.Minute))
		synctest.Wait()
		for _, id := range []string{"a1", "b1", "a2", "a3"} {
			wantJob(t, "park", goPark(t.Context(), r, poll("A", time.Second)), id)
			answerOK(t, r, id, "A")
		}
	})
}
