package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/farforge/farforge/common/capacity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var big = capacity.Capacity{Cores: 8, MemoryMB: 8192}

func poll(agent string, wait time.Duration) Poll { return Poll{Agent: agent, Free: big, Wait: wait} }

func offer(id string, wait time.Duration, candidates ...string) Offer {
	return Offer{
		JobID: id, Client: "c", Token: "g", Body: []byte("offer " + id),
		Need: capacity.Capacity{Cores: 1, MemoryMB: 1}, Candidates: candidates, Wait: wait,
	}
}

// result is how a call of Offer or Park ended, and when.
type result struct {
	answer []byte
	as     *Assignment
	err    error
	took   time.Duration
}

func goOffer(ctx context.Context, r *Rendezvous, o Offer) <-chan result {
	ch := make(chan result, 1)
	go func() {
		start := time.Now()
		answer, err := r.Offer(ctx, o)
		ch <- result{answer: answer, err: err, took: time.Since(start)}
	}()
	return ch
}

func goPark(ctx context.Context, r *Rendezvous, p Poll) <-chan result {
	ch := make(chan result, 1)
	go func() {
		start := time.Now()
		as, err := r.Park(ctx, p)
		ch <- result{as: as, err: err, took: time.Since(start)}
	}()
	return ch
}

// bubble runs f with a meeting point under a fake clock and checks at the end
// that everything is forgotten.
func bubble(t *testing.T, f func(t *testing.T, r *Rendezvous)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		defer r.Close()
		f(t, r)
		synctest.Wait()
		time.Sleep(2 * r.cfg.Memory)
		synctest.Wait()
		checkEmpty(t, r)
	})
}

func checkEmpty(t *testing.T, r *Rendezvous) {
	t.Helper()
	if s := r.Stats(); s.Parked+s.Offering+s.Jobs+s.Waiting+s.Agents+s.Queued+s.Bytes != 0 {
		t.Errorf("left behind: %+v", s)
	}
}

func want(t *testing.T, what string, got <-chan result, answer string, err error) result {
	t.Helper()
	res := <-got
	if string(res.answer) != answer || !errors.Is(res.err, err) || (err == nil && res.err != nil) {
		t.Fatalf("%s: answer %q, error %v; want %q, %v", what, res.answer, res.err, answer, err)
	}
	return res
}

func wantWaiting(t *testing.T, what string, got <-chan result, position int) result {
	t.Helper()
	res := <-got
	var w *WaitingError
	if !errors.As(res.err, &w) || w.Position != position {
		t.Fatalf("%s: %q, %v; want to wait at place %d", what, res.answer, res.err, position)
	}
	return res
}

func wantJob(t *testing.T, what string, got <-chan result, id string) *Assignment {
	t.Helper()
	res := <-got
	if res.err != nil || res.as == nil || res.as.Offer.JobID != id {
		t.Fatalf("%s: %+v, %v; want job %s", what, res.as, res.err, id)
	}
	return res.as
}

func answerOK(t *testing.T, r *Rendezvous, id, agent string) {
	t.Helper()
	if err := r.Answer(id, agent, []byte("answer")); err != nil {
		t.Fatalf("answer of %s to %s: %v", agent, id, err)
	}
}

func TestParkedAgentGetsTheOfferAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, r *Rendezvous) {
		ctx := t.Context()
		p := goPark(ctx, r, poll("A", time.Minute))
		synctest.Wait()
		o := goOffer(ctx, r, offer("1", time.Minute, "B", "A"))
		as := wantJob(t, "park", p, "1")
		if string(as.Offer.Body) != "offer 1" || as.Offer.Token != "g" || time.Until(as.AnswerBy) != r.cfg.AnswerTimeout {
			t.Errorf("assignment %+v", as)
		}
		answerOK(t, r, "1", "A")
		if res := want(t, "offer", o, "answer", nil); res.took != 0 {
			t.Errorf("the match took %v of fake time", res.took)
		}
	})
}

func TestRankDecides(t *testing.T) {
	bubble(t, func(t *testing.T, r *Rendezvous) {
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

func TestWaitingOffersAreTakenInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, r *Rendezvous) {
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

func TestOnlyJobsThatFitAreTaken(t *testing.T) {
	for _, tt := range []struct {
		need capacity.Capacity
		fits bool
	}{
		{capacity.Capacity{Cores: 1, MemoryMB: 1}, true}, {big, true},
		{capacity.Capacity{Cores: 9, MemoryMB: 1}, false}, {capacity.Capacity{Cores: 1, MemoryMB: 8193}, false},
	} {
		for _, parkFirst := range []bool{true, false} {
			bubble(t, func(t *testing.T, r *Rendezvous) {
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
						t.Errorf("%+v was taken: %+v, %v", tt.need, res.as, res.err)
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
	bubble(t, func(t *testing.T, r *Rendezvous) {
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
	bubble(t, func(t *testing.T, r *Rendezvous) {
		res := <-goPark(t.Context(), r, poll("A", 7*time.Second))
		if res.as != nil || res.err != nil || res.took != 7*time.Second {
			t.Errorf("poll: %+v", res)
		}
		// The agent is not parked any more: an offer waits.
		wantWaiting(t, "offer", goOffer(t.Context(), r, offer("1", time.Second, "A")), 1)
	})
}

func TestNewerPollSupersedes(t *testing.T) {
	bubble(t, func(t *testing.T, r *Rendezvous) {
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

func TestCancelledPollHandsItsJobBack(t *testing.T) {
	bubble(t, func(t *testing.T, r *Rendezvous) {
		ctx := t.Context()
		first := goOffer(ctx, r, offer("1", time.Minute, "A", "B"))
		synctest.Wait()
		second := goOffer(ctx, r, offer("2", time.Minute, "A", "B"))
		synctest.Wait()
		as := wantJob(t, "park", goPark(ctx, r, poll("A", time.Minute)), "1")
		as.HandBack() // what Park does for a request that is gone
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
	bubble(t, func(t *testing.T, r *Rendezvous) {
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

func TestCancelledParkNeverKeepsAJob(t *testing.T) {
	bubble(t, func(t *testing.T, r *Rendezvous) {
		ctx, cancel := context.WithCancel(t.Context())
		p := goPark(ctx, r, poll("A", time.Minute))
		synctest.Wait()
		cancel() // and, before Park can run again, fill its slot
		a := r.lockAgent("A", false)
		s := a.slot
		a.mu.Unlock()
		o := goOffer(t.Context(), r, offer("1", time.Second, "A"))
		if res := <-p; res.as != nil || !errors.Is(res.err, context.Canceled) {
			t.Errorf("park: %+v", res)
		}
		if s != nil && len(s.ch) != 0 {
			t.Error("a job is stuck in the slot of a poll that ended")
		}
		wantWaiting(t, "offer", o, 1)
	})
}
