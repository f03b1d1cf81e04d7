package rendezvous

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// told writes down what a meeting point asks and tells of claims.
func told(log *[]string, may func(Claim) bool) Config {
	start := time.Now()
	return Config{
		Claim: func(c Claim) bool {
			ok := may(c)
			*log = append(*log, fmt.Sprintf("%s→%s offered at %v, first %v: %v", c.Offer.JobID, c.Agent, c.Offered.Sub(start), c.First, ok))
			return ok
		},
		Unclaimed: func(job, agent string) {
			*log = append(*log, fmt.Sprintf("%s↛%s", job, agent))
		},
	}
}

func wantTold(t *testing.T, log []string, want ...string) {
	t.Helper()
	if !slices.Equal(log, want) {
		t.Errorf("told\n%q\nwant\n%q", log, want)
	}
}

// TestClaimsAreAskedAndTold: each claim is asked before it is made, and its end
// is told once, whatever ends it.
func TestClaimsAreAskedAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		r := New(told(&log, func(Claim) bool { return true }))
		defer r.Close()
		o := goOffer(t.Context(), r, offer("1", 20*time.Second, "A", "B"))
		synctest.Wait()
		time.Sleep(time.Second)
		wantJob(t, "A", goPark(t.Context(), r, poll("A", time.Second)), "1")
		time.Sleep(r.cfg.AnswerTimeout) // A is late
		as := wantJob(t, "B", goPark(t.Context(), r, poll("B", time.Second)), "1")
		as.HandBack()
		as.HandBack()
		wantJob(t, "B again", goPark(t.Context(), r, poll("B", time.Second)), "1")
		r.Refuse("1", "B", false)
		wantJob(t, "B once more", goPark(t.Context(), r, poll("B", time.Second)), "1")
		answerOK(t, r, "1", "B")
		want(t, "offer", o, "answer", nil)
		r.Refuse("1", "B", true) // too late
		wantTold(t, log,
			"1→A offered at 0s, first true: true", "1↛A",
			"1→B offered at 0s, first false: true", "1↛B",
			"1→B offered at 0s, first false: true", "1↛B",
			"1→B offered at 0s, first false: true")
		if s := r.Stats(); s.Claims != 4 || s.Revoked != 1 || s.HandedBack != 1 || s.Refused != 1 || s.Met != 1 || s.Full != 0 || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestAClaimThatMayNotBe goes to the next candidate, and keeps its place in the
// line of the first.
func TestAClaimThatMayNotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		room := map[string]bool{"B": true}
		r := New(told(&log, func(c Claim) bool { return room[c.Agent] }))
		defer r.Close()
		a, b := goPark(t.Context(), r, poll("A", time.Minute)), goPark(t.Context(), r, poll("B", time.Minute))
		synctest.Wait()
		one := goOffer(t.Context(), r, offer("1", time.Minute, "A", "B"))
		wantJob(t, "B", b, "1")
		answerOK(t, r, "1", "B")
		want(t, "offer 1", one, "answer", nil)

		two := goOffer(t.Context(), r, offer("2", time.Minute, "A"))
		synctest.Wait()
		if s := r.Stats(); s.Waiting != 1 || s.Queued != 1 || s.Parked != 1 {
			t.Errorf("%+v", s)
		}
		a2 := goPark(t.Context(), r, poll("A", time.Minute)) // no room still
		want(t, "A", a, "", nil)
		room["A"] = true
		wantJob(t, "A", goPark(t.Context(), r, poll("A", time.Minute)), "2")
		want(t, "A", a2, "", nil)
		answerOK(t, r, "2", "A")
		want(t, "offer 2", two, "answer", nil)
		if s := r.Stats(); s.Full == 0 || s.Claims != 2 || s.Queued != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestWaitsAreCounted: how many jobs wait, since when, and how the waits of those
// end that nobody claims.
func TestWaitsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
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
		check("nobody", 0, -1, [2]int64{})
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
		check("nobody waits", 0, -1, [2]int64{})
		wantWaiting(t, "back", back, 1)                                                           // B was late, and A did not come
		wantWaiting(t, "another", goOffer(t.Context(), r, offer("another", time.Second, "A")), 2) // the first may come back
		time.Sleep(2 * r.cfg.Memory)
		check("all are forgotten; one was claimed", 0, -1, [2]int64{1, 1})
	})
}
