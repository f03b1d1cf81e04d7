package jobs

import (
	"context"
	"errors"
	"fmt"
	"github.com/farforge/farforge/broker/users"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/farforge/farforge/common/capacity"
)

// TestHammer races thousands of polls that time out or hang up at any moment
// against thousands of offers that do the same, on the real clock, and keeps
// books on both sides.
func TestHammer(t *testing.T) {
	const (
		agents      = 24
		clients     = 48
		jobsEach    = 120
		answerTime  = 8 * time.Millisecond
		silentOneIn = 40
	)
	r := newRig(t, Config{AnswerTimeout: answerTime, Memory: time.Hour, AnswerMemory: time.Hour})
	defer r.Close()

	var (
		accepted sync.Map // job id → the agent whose answer was accepted
		got      sync.Map // job id → the answer that the client got
		gaveUp   sync.Map // job id → true: the client left without one
		noAnswer sync.Map // job id → true: 504
		polls    atomic.Int64
		agentsWG sync.WaitGroup
		clientWG sync.WaitGroup
	)
	stop, stopAgents := context.WithCancel(context.Background())

	for i := range agents {
		id := fmt.Sprint("agent", i)
		rnd := rand.New(rand.NewPCG(uint64(i), 1))
		agentsWG.Go(func() {
			for stop.Err() == nil {
				polls.Add(1)
				ctx, cancel := context.WithCancel(stop)
				var hangUp *time.Timer
				if rnd.IntN(8) == 0 {
					r.meet.EndPoll(fmt.Sprint("agent", rnd.IntN(agents))) // as a draining poll does
				}
				if rnd.IntN(2) == 0 {
					hangUp = time.AfterFunc(time.Duration(rnd.IntN(600))*time.Microsecond, cancel)
				}
				as, err := r.Park(ctx, polled{
					Agent: id, Free: capacity.Capacity{Cores: 1 + rnd.IntN(4), MemoryMB: 1},
					Wait: time.Duration(rnd.IntN(600)) * time.Microsecond,
				})
				if hangUp != nil {
					hangUp.Stop()
				}
				if err != nil && as != nil {
					t.Errorf("a job with an error: %v", err)
				}
				cancel()
				if as == nil || rnd.IntN(silentOneIn) == 0 {
					continue // nothing, or it takes the job and falls silent
				}
				switch rnd.IntN(silentOneIn) {
				case 0:
					time.Sleep(answerTime) // late
				case 1, 2:
					r.Refuse(r.nameOf(as), id, rnd.IntN(4) == 0)
					continue
				}
				answer := []byte(id + " answers " + r.nameOf(as))
				switch err := r.Answer(r.nameOf(as), id, answer); {
				case err == nil:
					if other, twice := accepted.Swap(r.nameOf(as), string(answer)); twice && other != string(answer) {
						t.Errorf("two answers were accepted: %q and %q", other, answer)
					}
				case errors.Is(err, ErrTaken), errors.Is(err, ErrExpired):
				default:
					t.Errorf("answer: %v", err)
				}
			}
		})
	}

	for i := range clients {
		rnd := rand.New(rand.NewPCG(uint64(i), 2))
		clientWG.Go(func() {
			for n := range jobsEach {
				o := posted{
					Job: fmt.Sprintf("job%d-%d", i, n), Client: fmt.Sprint("client", i), User: users.Anyone, Session: time.Second, Body: []byte("offer"),
					Need: capacity.Capacity{Cores: 1 + rnd.IntN(3), MemoryMB: 1},
				}
				for _, c := range rnd.Perm(agents)[:1+rnd.IntN(4)] {
					o.Candidates = append(o.Candidates, fmt.Sprint("agent", c))
				}
				for {
					o.Wait = time.Duration(rnd.IntN(3000)) * time.Microsecond
					ctx, cancel := context.WithCancel(context.Background())
					leaves := rnd.IntN(4) == 0
					if leaves {
						time.AfterFunc(time.Duration(rnd.IntN(1000))*time.Microsecond, cancel)
					}
					answer, err := r.Offer(ctx, o)
					cancel()
					var w *WaitingError
					switch {
					case err == nil:
						got.Store(o.Job, string(answer))
					case errors.Is(err, ErrNoAnswer):
						noAnswer.Store(o.Job, true)
					case errors.As(err, &w):
						continue
					case errors.Is(err, context.Canceled) && leaves:
						if rnd.IntN(2) == 0 {
							continue // the client returns
						}
						gaveUp.Store(o.Job, true)
					default:
						t.Errorf("offer: %v", err)
					}
					break
				}
			}
		})
	}

	clientWG.Wait()
	stopAgents()
	agentsWG.Wait()

	var answers, failures, left int
	for i := range clients {
		for n := range jobsEach {
			id := fmt.Sprintf("job%d-%d", i, n)
			a, isAccepted := accepted.Load(id)
			g, isGot := got.Load(id)
			_, isLeft := gaveUp.Load(id)
			_, isFailed := noAnswer.Load(id)
			switch {
			case isGot && !isLeft && !isFailed && isAccepted && a == g:
				answers++
				if agent, ok := r.Holder(id); !ok || fmt.Sprintf("%s answers %s", agent, id) != g {
					t.Errorf("%s: %v answered, and %v has the claim", id, g, agent)
				}
			case isFailed && !isGot && !isLeft && !isAccepted:
				failures++
			case isLeft && !isGot && !isFailed:
				left++ // an answer may have been accepted for its return
			default:
				t.Errorf("%s: accepted %v, got %v, gave up %v, failed %v", id, a, g, isLeft, isFailed)
			}
		}
	}
	s := r.Stats()
	t.Logf("%d polls; %d jobs answered, %d without an answer, %d given up; %+v", polls.Load(), answers, failures, left, s)
	// A client that left before its offer was looked at left no job.
	jobs := s.Jobs >= int64(answers+failures) && s.Jobs <= clients*jobsEach
	if s.Parked != 0 || s.Offering != 0 || s.Waiting != 0 || s.HandedBack == 0 || s.Revoked == 0 || s.Refused == 0 || !jobs {
		t.Errorf("counts: %+v", s)
	}
	r.sweep(time.Now().Add(3 * time.Hour))
	checkEmpty(t, r)
}

// TestHammerOneSlot lets one poll time out at the very moment of one offer,
// thousands of times: whatever wins, both sides must agree on it.
func TestHammerOneSlot(t *testing.T) {
	r := newRig(t, Config{AnswerTimeout: time.Minute})
	defer r.Close()
	rnd := rand.New(rand.NewPCG(1, 3))
	met := 0
	for n := range 5000 {
		id := fmt.Sprint(n)
		ctx, cancel := context.WithCancel(context.Background())
		p := poll("A", time.Duration(rnd.IntN(60))*time.Microsecond)
		hangs := n%2 == 0
		if hangs {
			p.Wait = time.Minute
		}
		parked := goPark(ctx, r, p)
		var pause sync.WaitGroup
		pause.Go(func() {
			for range rnd.IntN(2000) {
				_ = ctx.Err()
			}
			if hangs {
				cancel()
			}
		})
		octx, ocancel := context.WithCancel(context.Background())
		o := goOffer(octx, r, offer(id, time.Minute, "A"))
		res := <-parked
		pause.Wait()
		if res.as != nil {
			met++
			answerOK(t, r, id, "A")
			want(t, "offer", o, "answer", nil)
		} else {
			if err := r.Answer(id, "A", []byte("x")); err == nil {
				t.Fatal("an agent without the job could answer it")
			}
			ocancel()
			want(t, "offer", o, "", context.Canceled)
		}
		cancel()
		ocancel()
	}
	t.Logf("%d of 5000 met", met)
	r.sweep(time.Now().Add(3 * time.Hour))
	checkEmpty(t, r)
}

// TestHammerSweeper forgets an agent at the very moment that it parks: the
// offer behind must find it all the same.
func TestHammerSweeper(t *testing.T) {
	r := newRig(t, Config{Memory: time.Nanosecond, AnswerTimeout: time.Minute})
	defer r.Close()
	stop, sweeper := make(chan struct{}), sync.WaitGroup{}
	sweeper.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				r.sweep(time.Now().Add(time.Hour))
			}
		}
	})
	for n := range 3000 {
		id := fmt.Sprint(n)
		p := goPark(t.Context(), r, poll("A", time.Minute))
		o := goOffer(t.Context(), r, offer(id, 10*time.Second, "A"))
		wantJob(t, "park", p, id)
		answerOK(t, r, id, "A")
		want(t, "offer", o, "answer", nil)
	}
	close(stop)
	sweeper.Wait()
	r.sweep(time.Now().Add(3 * time.Hour))
	checkEmpty(t, r)
}
