package rendezvous

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/farforge/farforge/common/capacity"
)

func TestRefusedJobGoesOnAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, r *Rendezvous) {
		a := goPark(t.Context(), r, poll("A", time.Minute))
		b := goPark(t.Context(), r, poll("B", time.Minute))
		synctest.Wait()
		if _, known := r.Holder("1"); known {
			t.Error("an unknown job has a holder")
		}
		r.Refuse("1", "A", true)
		o := goOffer(t.Context(), r, offer("1", time.Minute, "A", "B"))
		wantJob(t, "first", a, "1")
		if holder, known := r.Holder("1"); !known || holder != "A" {
			t.Errorf("the holder is %q, %v", holder, known)
		}
		r.Refuse("1", "B", true) // not its own
		r.Refuse("1", "A", true)
		wantJob(t, "second", b, "1")
		answerOK(t, r, "1", "B")
		if res := want(t, "offer", o, "answer", nil); res.took != 0 {
			t.Errorf("the refusal cost %v", res.took)
		}
	})
}

func TestAgentThatHadNoRoomIsAskedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, r *Rendezvous) {
		o := goOffer(t.Context(), r, offer("1", time.Minute, "A"))
		synctest.Wait()
		wantJob(t, "park", goPark(t.Context(), r, poll("A", 0)), "1")
		r.Refuse("1", "A", false)
		full := poll("A", time.Second)
		full.Free = capacity.Capacity{}
		if res := <-goPark(t.Context(), r, full); res.as != nil {
			t.Error("a full agent was given the job")
		}
		wantJob(t, "with room", goPark(t.Context(), r, poll("A", 0)), "1")
		answerOK(t, r, "1", "A")
		want(t, "offer", o, "answer", nil)
	})
}

func TestAgentThatAlwaysRefusesIsLetAlone(t *testing.T) {
	bubble(t, func(t *testing.T, r *Rendezvous) {
		o := goOffer(t.Context(), r, offer("1", time.Minute, "A"))
		synctest.Wait()
		for range maxRefusals {
			wantJob(t, "park", goPark(t.Context(), r, poll("A", 0)), "1")
			r.Refuse("1", "A", false)
		}
		if res := want(t, "offer", o, "", ErrNoAnswer); res.took != 0 {
			t.Errorf("that took %v", res.took)
		}
		if n := r.Stats().Queued; n != 0 {
			t.Error("the failed job still stands in a line")
		}
	})
}

func TestRefusalWhileTheClientIsAway(t *testing.T) {
	bubble(t, func(t *testing.T, r *Rendezvous) {
		ctx, cancel := context.WithCancel(t.Context())
		o := goOffer(ctx, r, offer("1", time.Minute, "A"))
		synctest.Wait()
		wantJob(t, "park", goPark(t.Context(), r, poll("A", 0)), "1")
		cancel()
		want(t, "offer", o, "", context.Canceled)
		r.Refuse("1", "A", false)
		if res := <-goPark(t.Context(), r, poll("A", 0)); res.as != nil {
			t.Error("an agent was given the job of a client that is gone")
		}
		o = goOffer(t.Context(), r, offer("1", time.Minute, "A"))
		synctest.Wait()
		wantJob(t, "park", goPark(t.Context(), r, poll("A", 0)), "1")
		answerOK(t, r, "1", "A")
		want(t, "offer", o, "answer", nil)
	})
}

func TestLeaveEndsThePoll(t *testing.T) {
	bubble(t, func(t *testing.T, r *Rendezvous) {
		r.Leave("A")
		p := goPark(t.Context(), r, poll("A", time.Minute))
		synctest.Wait()
		r.Leave("A")
		if res := <-p; res.as != nil || res.err != nil || res.took != 0 {
			t.Errorf("the poll: %+v", res)
		}
		wantWaiting(t, "offer", goOffer(t.Context(), r, offer("1", 0, "A")), 1)
	})
}

func TestTwoAgentsWithOneKeyAreSlowedDown(t *testing.T) {
	bubble(t, func(t *testing.T, r *Rendezvous) {
		supersede := func() error {
			p := goPark(t.Context(), r, poll("A", time.Minute))
			synctest.Wait()
			r.Leave("A")
			return (<-p).err
		}
		for range stormRate {
			if err := supersede(); err != nil {
				t.Fatal(err)
			}
		}
		if err := supersede(); !errors.Is(err, ErrSuperseded) {
			t.Errorf("after %d in a moment: %v", stormRate, err)
		}
		time.Sleep(2 * time.Second)
		if err := supersede(); err != nil {
			t.Errorf("after a pause: %v", err)
		}
	})
}
