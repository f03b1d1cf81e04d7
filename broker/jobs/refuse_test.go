package jobs

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/farforge/farforge/common/capacity"
)

func TestARefusedJobGoesToTheNextAgentAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
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

func TestAnAgentWithoutRoomGetsTheJobLater(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		o := goOffer(t.Context(), r, offer("1", time.Minute, "A"))
		synctest.Wait()
		wantJob(t, "park", goPark(t.Context(), r, poll("A", 0)), "1")
		r.Refuse("1", "A", false)
		full := poll("A", time.Second)
		full.Free = capacity.Capacity{}
		if res := <-goPark(t.Context(), r, full); res.as != nil {
			t.Error("a full agent got the job")
		}
		wantJob(t, "with room", goPark(t.Context(), r, poll("A", 0)), "1")
		answerOK(t, r, "1", "A")
		want(t, "offer", o, "answer", nil)
	})
}

func TestAnAgentRefusesAJobAtMostThreeTimes(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		o := goOffer(t.Context(), r, offer("1", time.Minute, "A"))
		synctest.Wait()
		for range maxRefusals {
			wantJob(t, "park", goPark(t.Context(), r, poll("A", 0)), "1")
			r.Refuse("1", "A", false)
		}
		if res := want(t, "offer", o, "", ErrNoAnswer); res.took != 0 {
			t.Errorf("the refusals took %v", res.took)
		}
		if n := r.Stats().Queued; n != 0 {
			t.Error("the failed job is still in a line")
		}
	})
}

func TestRefusalWhileTheClientIsAway(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		o := goOffer(ctx, r, offer("1", time.Minute, "A"))
		synctest.Wait()
		wantJob(t, "park", goPark(t.Context(), r, poll("A", 0)), "1")
		cancel()
		want(t, "offer", o, "", context.Canceled)
		r.Refuse("1", "A", false)
		if res := <-goPark(t.Context(), r, poll("A", 0)); res.as != nil {
			t.Error("an agent got the job of a client that is gone")
		}
		o = goOffer(t.Context(), r, offer("1", time.Minute, "A"))
		synctest.Wait()
		wantJob(t, "park", goPark(t.Context(), r, poll("A", 0)), "1")
		answerOK(t, r, "1", "A")
		want(t, "offer", o, "answer", nil)
	})
}
