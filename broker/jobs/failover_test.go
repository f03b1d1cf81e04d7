package jobs

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestASilentAgentLosesTheJobToTheNext(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		a := goPark(ctx, r, poll("A", time.Minute))
		b := goPark(ctx, r, poll("B", time.Minute))
		synctest.Wait()
		o := goOffer(ctx, r, offer("1", time.Minute, "A", "B"))
		wantJob(t, "first", a, "1")
		wantJob(t, "second", b, "1")
		if err := r.Answer("1", "A", []byte("late")); !errors.Is(err, ErrTaken) {
			t.Errorf("late answer: %v", err)
		}
		answerOK(t, r, "1", "B")
		if res := want(t, "offer", o, "answer", nil); res.took != r.cfg.AnswerTimeout {
			t.Errorf("failover took %v", res.took)
		}
		if err := r.Answer("1", "A", []byte("late")); !errors.Is(err, ErrTaken) {
			t.Errorf("very late answer: %v", err)
		}
	})
}

func TestASilentAgentDoesNotGetTheJobAgain(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		o := goOffer(ctx, r, offer("1", 10*time.Second, "A", "B"))
		synctest.Wait()
		wantJob(t, "park", goPark(ctx, r, poll("A", 0)), "1")
		time.Sleep(r.cfg.AnswerTimeout)
		synctest.Wait()
		if res := <-goPark(ctx, r, poll("A", 0)); res.as != nil {
			t.Error("the silent agent got the job again")
		}
		if err := r.Answer("1", "A", []byte("late")); !errors.Is(err, ErrExpired) {
			t.Errorf("late answer: %v", err)
		}
		wantWaiting(t, "offer", o, 1)
	})
}

func TestNoAnswerWhenEveryCandidateIsSilent(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		goPark(ctx, r, poll("A", time.Second))
		goPark(ctx, r, poll("B", 4*time.Second))
		synctest.Wait()
		o := goOffer(ctx, r, offer("1", time.Minute, "A", "B"))
		if res := want(t, "offer", o, "", ErrNoAnswer); res.took != 2*r.cfg.AnswerTimeout {
			t.Errorf("took %v", res.took)
		}
		want(t, "the same offer again", goOffer(ctx, r, offer("1", time.Minute, "A", "B")), "", ErrNoAnswer)
		if err := r.Answer("1", "B", []byte("late")); !errors.Is(err, ErrExpired) {
			t.Errorf("late answer: %v", err)
		}
	})
}

func TestAClaimMayOutliveTheWaitOnce(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		o := goOffer(ctx, r, offer("1", 5*time.Second, "A", "B"))
		time.Sleep(4 * time.Second)
		wantJob(t, "park", goPark(ctx, r, poll("A", 0)), "1")
		b := goPark(ctx, r, poll("B", time.Second))
		if res := wantWaiting(t, "offer", o, 1); res.took != 4*time.Second+r.cfg.AnswerTimeout {
			t.Errorf("took %v", res.took)
		}
		if res := <-b; res.as != nil {
			t.Error("an agent got a job whose client had left")
		}
	})
}

func TestOnlyTheHolderCanAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		if err := r.Answer("1", "A", []byte("x")); !errors.Is(err, ErrUnknownJob) {
			t.Errorf("unknown job: %v", err)
		}
		o := goOffer(ctx, r, offer("1", time.Minute, "A", "B"))
		synctest.Wait()
		if err := r.Answer("1", "A", []byte("x")); !errors.Is(err, ErrTaken) {
			t.Errorf("answer without a claim: %v", err)
		}
		wantJob(t, "park", goPark(ctx, r, poll("A", 0)), "1")
		if err := r.Answer("1", "B", []byte("x")); !errors.Is(err, ErrTaken) {
			t.Errorf("answer to another's claim: %v", err)
		}
		answerOK(t, r, "1", "A")
		answerOK(t, r, "1", "A") // its first request's response was lost
		if err := r.Answer("1", "A", []byte("other")); !errors.Is(err, ErrTaken) {
			t.Errorf("a second, other answer: %v", err)
		}
		want(t, "offer", o, "answer", nil)
	})
}

func TestTheSameOfferKeepsItsPlace(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		wantWaiting(t, "first", goOffer(ctx, r, offer("1", time.Second, "A")), 1)
		// Away: an agent does not get it.
		if res := <-goPark(ctx, r, poll("A", 0)); res.as != nil {
			t.Fatal("an agent got a job whose client is away")
		}
		second := goOffer(ctx, r, offer("2", time.Minute, "A"))
		synctest.Wait()
		o := offer("1", time.Minute, "A")
		o.Token = "fresh"
		first := goOffer(ctx, r, o)
		synctest.Wait()
		as := wantJob(t, "park", goPark(ctx, r, poll("A", 0)), "1")
		if as.ticket.Token != "fresh" {
			t.Errorf("the agent got the grant %q", as.ticket.Token)
		}
		answerOK(t, r, "1", "A")
		want(t, "first", first, "answer", nil)
		wantJob(t, "park", goPark(ctx, r, poll("A", 0)), "2")
		answerOK(t, r, "2", "A")
		want(t, "second", second, "answer", nil)
	})
}

func TestPositionsCountWaitingJobs(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		wantWaiting(t, "one that leaves", goOffer(ctx, r, offer("0", 0, "A", "B")), 1)
		time.Sleep(between)
		one := goOffer(ctx, r, offer("1", 3*time.Second, "A"))
		synctest.Wait()
		two := goOffer(ctx, r, offer("2", 2*time.Second, "A"))
		synctest.Wait()
		wantWaiting(t, "behind two", goOffer(ctx, r, offer("3", time.Second, "A")), 3)
		wantWaiting(t, "elsewhere behind none", goOffer(ctx, r, offer("4", 0, "A", "B")), 1)
		wantWaiting(t, "two", two, 2)
		wantWaiting(t, "one", one, 1)
	})
}

func TestOtherOfferOrClientIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		first := goOffer(ctx, r, offer("1", time.Second, "A"))
		synctest.Wait()
		o := offer("1", time.Second, "A")
		o.Body = []byte("other")
		want(t, "other bytes", goOffer(ctx, r, o), "", ErrAlreadyOffered)
		o = offer("1", time.Second, "A")
		o.Client = "d"
		want(t, "other client", goOffer(ctx, r, o), "", ErrAlreadyOffered)
		wantWaiting(t, "first", first, 1)
	})
}

func TestSecondRequestReplacesTheFirst(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		first := goOffer(ctx, r, offer("1", time.Minute, "A"))
		synctest.Wait()
		second := goOffer(ctx, r, offer("1", time.Minute, "A"))
		want(t, "first", first, "", ErrReplaced)
		wantJob(t, "park", goPark(ctx, r, poll("A", 0)), "1")
		third := goOffer(ctx, r, offer("1", time.Minute, "A")) // while claimed
		want(t, "second", second, "", ErrReplaced)
		answerOK(t, r, "1", "A")
		want(t, "third", third, "answer", nil)
	})
}

func TestAGoneClient(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		o := goOffer(ctx, r, offer("1", time.Minute, "A"))
		synctest.Wait()
		cancel()
		want(t, "offer", o, "", context.Canceled)
		if res := <-goPark(t.Context(), r, poll("A", time.Second)); res.as != nil {
			t.Error("an agent got the job of a client that is gone")
		}

		ctx, cancel = context.WithCancel(t.Context())
		o = goOffer(ctx, r, offer("2", time.Minute, "A"))
		synctest.Wait()
		wantJob(t, "park", goPark(t.Context(), r, poll("A", 0)), "2")
		cancel()
		want(t, "offer", o, "", context.Canceled)
		answerOK(t, r, "2", "A")
		// The client returns twice, and is too late the third time.
		want(t, "back", goOffer(t.Context(), r, offer("2", time.Minute, "A")), "answer", nil)
		want(t, "again", goOffer(t.Context(), r, offer("2", time.Minute, "A")), "answer", nil)
		time.Sleep(2 * r.cfg.AnswerMemory)
		want(t, "late", goOffer(t.Context(), r, offer("2", time.Minute, "A")), "", ErrCollected)
	})
}

func TestASilentAgentOfAGoneClient(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		o := goOffer(ctx, r, offer("1", time.Minute, "A", "B"))
		synctest.Wait()
		as := wantJob(t, "park", goPark(t.Context(), r, poll("A", 0)), "1")
		cancel()
		want(t, "offer", o, "", context.Canceled)
		time.Sleep(r.cfg.AnswerTimeout)
		if err := r.Answer("1", "A", []byte("late")); !errors.Is(err, ErrExpired) {
			t.Errorf("late answer: %v", err)
		}
		as.HandBack() // of a claim that has ended
		// The client returns; the job goes to the other candidate.
		o = goOffer(t.Context(), r, offer("1", time.Minute, "A", "B"))
		synctest.Wait()
		wantJob(t, "park", goPark(t.Context(), r, poll("B", 0)), "1")
		answerOK(t, r, "1", "B")
		want(t, "offer", o, "answer", nil)
	})
}

func TestDrainEndsWaitsAndKeepsClaims(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		taken := goOffer(ctx, r, offer("1", time.Minute, "A"))
		synctest.Wait()
		wantJob(t, "park", goPark(ctx, r, poll("A", 0)), "1")
		open := goOffer(ctx, r, offer("2", time.Minute, "B"))
		parked := goPark(ctx, r, poll("C", time.Minute))
		synctest.Wait()
		r.Drain()
		want(t, "waiting offer", open, "", ErrDraining)
		want(t, "parked poll", parked, "", nil)
		want(t, "new offer", goOffer(ctx, r, offer("3", time.Minute, "C")), "", ErrDraining)
		want(t, "new poll", goPark(ctx, r, poll("C", time.Minute)), "", ErrDraining)
		answerOK(t, r, "1", "A")
		want(t, "claimed offer", taken, "answer", nil)
	})
}

func TestJobsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{MaxJobs: 2})
		defer r.Close()
		ctx := t.Context()
		wantWaiting(t, "1", goOffer(ctx, r, offer("1", 0, "A")), 1)
		wantWaiting(t, "2", goOffer(ctx, r, offer("2", 0, "A")), 2)
		want(t, "3", goOffer(ctx, r, offer("3", 0, "A")), "", ErrFull)
		wantWaiting(t, "a known one", goOffer(ctx, r, offer("1", 0, "A")), 1)
		time.Sleep(2 * r.cfg.Memory)
		wantWaiting(t, "after forgetting", goOffer(ctx, r, offer("3", 0, "A")), 1)
	})
}

func TestBytesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{MaxBytes: 10})
		defer r.Close()
		o := goOffer(t.Context(), r, offer("1", time.Minute, "A")) // 7 bytes
		synctest.Wait()
		wantWaiting(t, "2", goOffer(t.Context(), r, offer("2", 0, "A")), 2)
		want(t, "3", goOffer(t.Context(), r, offer("3", 0, "A")), "", ErrFull)
		wantJob(t, "park", goPark(t.Context(), r, poll("A", 0)), "1")
		if err := r.Answer("1", "A", []byte("x")); err != nil {
			t.Fatal(err)
		}
		want(t, "1", o, "x", nil)
		if n := r.Stats().Bytes; n != 8 {
			t.Errorf("%d bytes are counted", n)
		}
		wantWaiting(t, "3 again", goOffer(t.Context(), r, offer("3", 0, "A")), 2)
		time.Sleep(longest)
		synctest.Wait()
		checkEmpty(t, r)
	})
}

func TestCollectedJobsAreForgottenFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{MaxJobs: 3})
		defer r.Close()
		match := func(id string) {
			p := goPark(t.Context(), r, poll("A", time.Minute))
			synctest.Wait()
			o := goOffer(t.Context(), r, offer(id, time.Minute, "A"))
			wantJob(t, "park", p, id)
			answerOK(t, r, id, "A")
			want(t, id, o, "answer", nil)
		}
		match("1")
		time.Sleep(2 * r.cfg.AnswerMemory)
		want(t, "1", goOffer(t.Context(), r, offer("1", 0, "A")), "", ErrCollected)
		match("2")
		wantWaiting(t, "3", goOffer(t.Context(), r, offer("3", 0, "A")), 1)
		time.Sleep(2 * r.cfg.AnswerMemory)
		synctest.Wait()
		if n := r.Stats().Jobs; n != 1 && n != 2 {
			t.Errorf("%d jobs are kept", n)
		}
		if _, known := r.jobs.table.Get(r.id("3")); !known {
			t.Error("a waiting job was forgotten before an ended one")
		}
	})
}

func TestAClaimFromTheLineExpires(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		o := goOffer(t.Context(), r, offer("1", time.Minute, "A", "B"))
		synctest.Wait()
		wantJob(t, "the silent one", goPark(t.Context(), r, poll("A", 0)), "1")
		if res := <-goPark(t.Context(), r, poll("B", 2*r.cfg.AnswerTimeout)); res.as == nil || res.took != r.cfg.AnswerTimeout {
			t.Errorf("the other agent got %+v after %v", res.as, res.took)
		}
		answerOK(t, r, "1", "B")
		want(t, "offer", o, "answer", nil)
	})
}
