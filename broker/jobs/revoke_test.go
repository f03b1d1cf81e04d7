package jobs

import (
	"github.com/farforge/farforge/common/identity"
	"testing"
	"testing/synctest"
	"time"
)

func TestARevokedAgentLosesItsClaims(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		taken := func(id, agent string, candidates ...string) <-chan result {
			o := goOffer(ctx, r, offer(id, time.Minute, candidates...))
			synctest.Wait()
			wantJob(t, id, goPark(ctx, r, poll(agent, 0)), id)
			return o
		}
		done := taken("0", "A", "A", "B")
		answerOK(t, r, "0", "A")
		want(t, "answered", done, "answer", nil)
		only := taken("1", "A", "A")
		other := taken("2", "B", "B", "A")
		shared := taken("3", "A", "A", "B")
		b := goPark(ctx, r, poll("B", time.Minute))
		synctest.Wait()

		r.revoke(identity.Authorized{Name: "A", Fingerprint: "A"})
		if res := want(t, "its only candidate", only, "", ErrNoAnswer); res.took != 0 {
			t.Errorf("the offer took %v", res.took)
		}
		wantJob(t, "the other candidate", b, "3")
		answerOK(t, r, "3", "B")
		want(t, "shared", shared, "answer", nil)
		answerOK(t, r, "2", "B")
		want(t, "another's", other, "answer", nil)
		if err := r.Answer("1", "A", []byte("late")); err == nil {
			t.Error("a revoked agent can answer")
		}
	})
}
