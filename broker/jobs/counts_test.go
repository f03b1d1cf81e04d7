package jobs

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestClaimsAreCounted: each claim is counted once, and its end once, whatever ends
// it; the reservation at the agent lives as long as the claim.
func TestClaimsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{})
		defer r.Close()
		reserved := func(want int) {
			t.Helper()
			if n := r.cfg.Directory.Totals(time.Now()).Reservations; n != want {
				t.Errorf("%d reservations, want %d", n, want)
			}
		}
		o := goOffer(t.Context(), r, offer("1", 20*time.Second, "A", "B"))
		synctest.Wait()
		time.Sleep(time.Second)
		wantJob(t, "A", goPark(t.Context(), r, poll("A", time.Second)), "1")
		reserved(1)
		time.Sleep(r.cfg.AnswerTimeout) // A is late
		synctest.Wait()
		reserved(0)
		as := wantJob(t, "B", goPark(t.Context(), r, poll("B", time.Second)), "1")
		as.HandBack()
		as.HandBack()
		reserved(0)
		wantJob(t, "B again", goPark(t.Context(), r, poll("B", time.Second)), "1")
		r.Refuse("1", "B", false)
		reserved(0)
		wantJob(t, "B once more", goPark(t.Context(), r, poll("B", time.Second)), "1")
		reserved(1)
		answerOK(t, r, "1", "B")
		want(t, "offer", o, "answer", nil)
		reserved(1)
		if s := r.Stats(); s.Claims != 4 || s.Revoked != 1 || s.HandedBack != 1 || s.Refused != 1 || s.Met != 1 || s.Full != 0 || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestWaitsAreCounted: the number of waiting jobs, the oldest, and the ends of waits
// without a claim.
func TestWaitsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{})
		defer r.Close()
		start := time.Now()
		check := func(what string, waiting int64, oldest time.Duration, ends [2]int64) {
			t.Helper()
			synctest.Wait()
			s, since := r.Stats(), time.Duration(-1)
			if o := r.Oldest(); !o.IsZero() {
				since = o.Sub(start)
			}
			if s.Waiting != waiting || since != oldest || [2]int64{s.GaveUp, s.HungUp} != ends {
				t.Errorf("%s: oldest %v, %+v", what, since, s)
			}
		}
		check("no job", 0, -1, [2]int64{})
		bored := goOffer(t.Context(), r, offer("bored", 10*time.Second, "A", "B"))
		check("one", 1, 0, [2]int64{})
		time.Sleep(time.Second)
		ctx, hangUp := context.WithCancel(t.Context())
		gone := goOffer(ctx, r, offer("gone", time.Minute, "A"))
		check("two", 2, 0, [2]int64{})
		wantWaiting(t, "the first", bored, 1)
		check("the first is away", 1, time.Second, [2]int64{})
		back := goOffer(t.Context(), r, offer("bored", 10*time.Second, "A", "B"))
		check("and back", 2, 0, [2]int64{})
		wantJob(t, "B", goPark(t.Context(), r, poll("B", time.Minute)), "bored")
		check("claimed", 1, time.Second, [2]int64{})
		hangUp()
		<-gone
		check("no job waits", 0, -1, [2]int64{})
		wantWaiting(t, "back", back, 1)                                                           // B was late, and A did not poll
		wantWaiting(t, "another", goOffer(t.Context(), r, offer("another", time.Second, "A")), 2) // the first may return
		time.Sleep(3 * r.cfg.Memory)
		check("all are forgotten; one was claimed", 0, -1, [2]int64{1, 1})
	})
}
