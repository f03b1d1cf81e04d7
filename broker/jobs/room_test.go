package jobs

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
)

// TestFreedRoomIsMatchedAtOnce: the agent's poll is parked while all its cores are
// reserved for one job, and another job waits. When the first ends, in any way, the
// parked poll gets the second at that moment.
func TestFreedRoomIsMatchedAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer bool
		end    func(*rig, *Claim)
	}{
		{"late", false, func(r *rig, _ *Claim) { time.Sleep(r.cfg.AnswerTimeout) }},
		{"refused", false, func(r *rig, _ *Claim) { r.Refuse("large", "A", true) }},
		{"handed back, and the client is gone", false, func(_ *rig, c *Claim) { c.HandBack() }},
		{"failed", true, func(r *rig, _ *Claim) { r.Refuse("large", "A", true) }},
		{"done", true, func(r *rig, _ *Claim) { r.reported("large", "A", api.OutcomeSucceeded) }},
		{"expired", true, func(*rig, *Claim) { time.Sleep(time.Second + sessionGrace + time.Second) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				large := offer("large", time.Minute, "A")
				large.Need = capacity.Capacity{Cores: big.Cores, MemoryMB: 1}
				ctx, hangUp := withCancel(t)
				goOffer(ctx, r, large)
				synctest.Wait()
				claim := wantJob(t, "the first poll", goPark(t.Context(), r, poll("A", 0)), "large")
				parked := goPark(t.Context(), r, poll("A", 3*time.Minute)) // its status does not know the job yet
				synctest.Wait()
				if tt.answer {
					if err := r.Board.Answer(r.id("large"), "A", []byte("answer")); err != nil {
						t.Fatal(err)
					}
				}
				small := goOffer(t.Context(), r, offer("small", 2*time.Minute, "A"))
				synctest.Wait()
				if s := r.Stats(); s.Waiting != 1 || s.Parked != 1 {
					t.Fatalf("%+v", s)
				}
				hangUp()
				synctest.Wait()
				tt.end(r, claim)
				synctest.Wait()
				select {
				case res := <-parked:
					if res.job != "small" {
						t.Fatalf("the parked poll got %q, %v", res.job, res.err)
					}
				default:
					t.Fatal("the parked poll was not matched again")
				}
				answerOK(t, r, "small", "A")
				want(t, "small", small, "answer", nil)
			})
		})
	}
}

// TestAJobThatDoesNotFitHidesNoOther: reservations that are not in the status of
// the poll leave less room than the status has, and the oldest job does not fit.
func TestAJobThatDoesNotFitHidesNoOther(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		half := offer("half", time.Minute, "A")
		half.Need = capacity.Capacity{Cores: big.Cores / 2, MemoryMB: 1}
		goOffer(t.Context(), r, half)
		synctest.Wait()
		wantJob(t, "half", goPark(t.Context(), r, poll("A", 0)), "half")
		whole := offer("whole", time.Second, "A")
		whole.Need = capacity.Capacity{Cores: big.Cores, MemoryMB: 1}
		left := goOffer(t.Context(), r, whole)
		synctest.Wait()
		other := offer("other", time.Minute, "A")
		other.User = "oidc:https://issuer.example.org#bob"
		done := goOffer(t.Context(), r, other)
		synctest.Wait()
		wantJob(t, "the next poll", goPark(t.Context(), r, poll("A", 0)), "other")
		answerOK(t, r, "half", "A")
		answerOK(t, r, "other", "A")
		want(t, "other", done, "answer", nil)
		wantWaiting(t, "whole", left, 1)
	})
}

// TestChargesForWhatRan: a claim without an answer costs its user nothing, and a
// session costs the time that it took.
func TestChargesForWhatRan(t *testing.T) {
	for _, tt := range []struct {
		name string
		play func(*testing.T, *rig)
		used time.Duration
	}{
		{"late", func(t *testing.T, r *rig) {
			goOffer(t.Context(), r, hour("1"))
			synctest.Wait()
			wantJob(t, "park", goPark(t.Context(), r, poll("A", 0)), "1")
			time.Sleep(r.cfg.AnswerTimeout)
		}, 0},
		{"late, and the client is gone", func(t *testing.T, r *rig) {
			ctx, hangUp := withCancel(t)
			o := goOffer(ctx, r, hour("1"))
			synctest.Wait()
			wantJob(t, "park", goPark(t.Context(), r, poll("A", 0)), "1")
			hangUp()
			<-o
			time.Sleep(r.cfg.AnswerTimeout)
		}, 0},
		{"handed back, and the client is gone", func(t *testing.T, r *rig) {
			ctx, hangUp := withCancel(t)
			o := goOffer(ctx, r, hour("1"))
			synctest.Wait()
			c := wantJob(t, "park", goPark(t.Context(), r, poll("A", 0)), "1")
			hangUp()
			<-o
			c.HandBack()
		}, 0},
		{"canceled after ten minutes", func(t *testing.T, r *rig) {
			o := goOffer(t.Context(), r, hour("1"))
			synctest.Wait()
			wantJob(t, "park", goPark(t.Context(), r, poll("A", 0)), "1")
			answerOK(t, r, "1", "A")
			want(t, "offer", o, "answer", nil)
			time.Sleep(10 * time.Minute)
			r.reported("1", "A", api.OutcomeCanceled)
		}, 10 * time.Minute},
		{"never reported", func(t *testing.T, r *rig) {
			o := goOffer(t.Context(), r, hour("1"))
			synctest.Wait()
			wantJob(t, "park", goPark(t.Context(), r, poll("A", 0)), "1")
			answerOK(t, r, "1", "A")
			want(t, "offer", o, "answer", nil)
		}, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				accounts := quota.NewAccounts(quota.Limits{Sessions: 2 * time.Hour})
				r := newRig(t, Config{Accounts: accounts})
				defer r.Close()
				tt.play(t, r)
				synctest.Wait()
				time.Sleep(61 * time.Minute)
				left := 2*time.Hour - tt.used
				if r := accounts.Grant(hour("").User, quota.Limits{}, left, time.Now()); r != nil {
					t.Errorf("more than %v was charged: %+v", tt.used, r)
				}
				if r := accounts.Grant(hour("").User, quota.Limits{}, left+time.Second, time.Now()); r == nil {
					t.Errorf("less than %v was charged", tt.used)
				}
			})
		})
	}
}

// hour is the offer of a user with limits for a session of one hour.
func hour(name string) posted {
	o := offer(name, 10*time.Second, "A")
	o.User, o.Session = "oidc:https://issuer.example.org#alice", time.Hour
	return o
}
