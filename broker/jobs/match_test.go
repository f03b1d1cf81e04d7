package jobs

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/farforge/farforge/common/capacity"
)

func TestParkedAgentGetsTheOfferAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		p := goPark(ctx, r, poll("A", time.Minute))
		synctest.Wait()
		o := goOffer(ctx, r, offer("1", time.Minute, "B", "A"))
		as := wantJob(t, "park", p, "1")
		if string(as.offer) != "offer 1" || as.ticket.Token != "g" || time.Until(as.AnswerBy) != r.cfg.AnswerTimeout {
			t.Errorf("assignment %+v", as)
		}
		answerOK(t, r, "1", "A")
		if res := want(t, "offer", o, "answer", nil); res.took != 0 {
			t.Errorf("the match took %v of fake time", res.took)
		}
	})
}

func TestTheBestCandidateGetsTheJob(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		a, b := goPark(ctx, r, poll("A", time.Minute)), goPark(ctx, r, poll("B", time.Minute))
		synctest.Wait()
		o := goOffer(ctx, r, offer("1", time.Minute, "B", "A"))
		wantJob(t, "the first candidate", b, "1")
		answerOK(t, r, "1", "B")
		want(t, "offer", o, "answer", nil)
		cancel()
		if res := <-a; res.as != nil || !errors.Is(res.err, context.Canceled) {
			t.Errorf("the other agent got %+v, %v", res.as, res.err)
		}
	})
}

func TestWaitingOffersAreClaimedInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		var offers []<-chan result
		for i := range 5 {
			offers = append(offers, goOffer(ctx, r, offer(fmt.Sprint(i), time.Minute, "A")))
			synctest.Wait()
		}
		for i := range 5 {
			id := fmt.Sprint(i)
			wantJob(t, "park", goPark(ctx, r, poll("A", time.Minute)), id)
			answerOK(t, r, id, "A")
			want(t, "offer "+id, offers[i], "answer", nil)
		}
	})
}

func TestOnlyJobsThatFitAreClaimed(t *testing.T) {
	for _, tt := range []struct {
		need capacity.Capacity
		fits bool
	}{
		{capacity.Capacity{Cores: 1, MemoryMB: 1}, true}, {big, true},
		{capacity.Capacity{Cores: 9, MemoryMB: 1}, false}, {capacity.Capacity{Cores: 1, MemoryMB: 8193}, false},
	} {
		for _, parkFirst := range []bool{true, false} {
			bubble(t, func(t *testing.T, r *rig) {
				o := offer("1", time.Second, "A")
				o.Need = tt.need
				var p, done <-chan result
				if parkFirst {
					p = goPark(t.Context(), r, poll("A", time.Second))
					synctest.Wait()
				}
				done = goOffer(t.Context(), r, o)
				synctest.Wait()
				if !parkFirst {
					p = goPark(t.Context(), r, poll("A", time.Second))
				}
				if !tt.fits {
					if res := <-p; res.as != nil || res.err != nil {
						t.Errorf("%+v was claimed: %+v, %v", tt.need, res.as, res.err)
					}
					wantWaiting(t, "offer", done, 1)
					return
				}
				wantJob(t, "park", p, "1")
				answerOK(t, r, "1", "A")
				want(t, "offer", done, "answer", nil)
			})
		}
	}
}

func TestASmallJobDoesNotWaitBehindOneThatDoesNotFit(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		o := offer("large", time.Second, "A")
		o.Need = capacity.Capacity{Cores: 64, MemoryMB: 1}
		large := goOffer(t.Context(), r, o)
		synctest.Wait()
		small := goOffer(t.Context(), r, offer("small", time.Second, "A"))
		synctest.Wait()
		wantJob(t, "park", goPark(t.Context(), r, poll("A", 0)), "small")
		answerOK(t, r, "small", "A")
		want(t, "small", small, "answer", nil)
		wantWaiting(t, "large", large, 1)
	})
}

func TestPollEndsWithNothing(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		res := <-goPark(t.Context(), r, poll("A", 7*time.Second))
		if res.as != nil || res.err != nil || res.took != 7*time.Second {
			t.Errorf("poll: %+v", res)
		}
		// The agent is not parked any more: an offer waits.
		wantWaiting(t, "offer", goOffer(t.Context(), r, offer("1", time.Second, "A")), 1)
	})
}

func TestNewerPollSupersedes(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		old := goPark(t.Context(), r, poll("A", time.Minute))
		synctest.Wait()
		p := goPark(t.Context(), r, poll("A", time.Minute))
		if res := <-old; res.as != nil || res.err != nil || res.took != 0 {
			t.Errorf("the older poll: %+v", res)
		}
		synctest.Wait()
		o := goOffer(t.Context(), r, offer("1", time.Minute, "A"))
		wantJob(t, "the newer poll", p, "1")
		answerOK(t, r, "1", "A")
		want(t, "offer", o, "answer", nil)
	})
}

func TestACanceledPollHandsItsJobBack(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		first := goOffer(ctx, r, offer("1", time.Minute, "A", "B"))
		synctest.Wait()
		second := goOffer(ctx, r, offer("2", time.Minute, "A", "B"))
		synctest.Wait()
		as := wantJob(t, "park", goPark(ctx, r, poll("A", time.Minute)), "1")
		as.HandBack() // as the broker does when the request is gone
		as.HandBack() // and it is harmless twice
		if err := r.Answer("1", "A", []byte("x")); !errors.Is(err, ErrTaken) {
			t.Errorf("answer after handing back: %v", err)
		}
		// The job kept its place before the second.
		wantJob(t, "the next agent", goPark(ctx, r, poll("B", time.Minute)), "1")
		wantJob(t, "the agent itself", goPark(ctx, r, poll("A", time.Minute)), "2")
		answerOK(t, r, "1", "B")
		answerOK(t, r, "2", "A")
		want(t, "first", first, "answer", nil)
		want(t, "second", second, "answer", nil)
	})
}

func TestHandBackGoesToAParkedCandidate(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		a := goPark(ctx, r, poll("A", time.Minute))
		b := goPark(ctx, r, poll("B", time.Minute))
		synctest.Wait()
		o := goOffer(ctx, r, offer("1", time.Minute, "A", "B"))
		wantJob(t, "first candidate", a, "1").HandBack()
		wantJob(t, "second candidate", b, "1")
		answerOK(t, r, "1", "B")
		want(t, "offer", o, "answer", nil)
	})
}
