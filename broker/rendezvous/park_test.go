package rendezvous

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

type parked struct {
	job *testJob
	err error
}

func (g *ground) park(ctx context.Context, p Poll) <-chan parked {
	ch := make(chan parked, 1)
	go func() {
		c, ok, err := g.Park(ctx, p)
		if !ok {
			ch <- parked{nil, err}
			return
		}
		ch <- parked{c.job, err}
	}()
	return ch
}

func TestEndPollEndsThePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGround()
		g.EndPoll("A")
		p := g.park(t.Context(), Poll{Agent: "A", Wait: time.Minute})
		synctest.Wait()
		g.EndPoll("A")
		if got := <-p; got != (parked{}) {
			t.Errorf("the poll: %+v", got)
		}
		if j := g.offer("u", 1, "A"); !j.Waiting() {
			t.Error("an agent without a poll claimed the job")
		}
	})
}

func TestTwoAgentsWithOneKeyAreSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGround()
		supersede := func() error {
			p := g.park(t.Context(), Poll{Agent: "A", Wait: time.Minute})
			synctest.Wait()
			g.EndPoll("A")
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

func TestARevokedAgentIsUnparked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, gone := newGround(), make(chan struct{})
		p := g.park(t.Context(), Poll{Agent: "A", Wait: time.Minute, Gone: gone})
		synctest.Wait()
		start := time.Now()
		close(gone)
		if got := <-p; got.job != nil || !errors.Is(got.err, ErrGone) || time.Since(start) != 0 {
			t.Errorf("%+v", got)
		}
		if j := g.offer("u", 1, "A"); !j.Waiting() {
			t.Error("a revoked agent claimed the job")
		}
	})
}

func TestCanceledParkNeverKeepsAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGround()
		ctx, cancel := context.WithCancel(t.Context())
		p := g.park(ctx, Poll{Agent: "A", Wait: time.Minute})
		synctest.Wait()
		cancel() // and, before Park can run again, fill its slot
		a := g.lock("A", false)
		s := a.slot
		a.mu.Unlock()
		j := g.offer("u", 1, "A")
		if got := <-p; got.job != nil || !errors.Is(got.err, context.Canceled) {
			t.Errorf("park: %+v", got)
		}
		if s != nil && len(s.ch) != 0 {
			t.Error("a claim is stuck in the slot of a poll that ended")
		}
		if j.by != "" && j.Waiting() {
			t.Error("the job was claimed and waits")
		}
	})
}

// TestFreedRoomIsMatched: the parked poll gets a job of its line when the agent has
// room again.
func TestFreedRoomIsMatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGround()
		g.cores.Store(1)
		p := g.park(t.Context(), Poll{Agent: "A", Wait: time.Minute})
		synctest.Wait()
		g.Rematch("A") // an empty line
		j := g.offer("u", 4, "A")
		g.Rematch("A")
		synctest.Wait()
		if !j.Waiting() {
			t.Fatal("a job was claimed that does not fit")
		}
		g.cores.Store(4)
		g.Rematch("B") // an unknown agent
		g.Rematch("A")
		if got := <-p; got.job != j || got.err != nil {
			t.Errorf("the parked poll got %+v", got)
		}
		g.Rematch("A") // no poll is parked any more
	})
}

// TestAFullAgentSeesTheJobsBehind: a job for which the agent turns out to be full
// does not hide the job of another user.
func TestAFullAgentSeesTheJobsBehind(t *testing.T) {
	g := newGround()
	large, small := g.offer("alice", 4, "A"), g.offer("bob", 1, "A")
	large.full = true
	if c, ok, err := g.Park(t.Context(), Poll{Agent: "A"}); !ok || err != nil || c.job != small {
		t.Errorf("the poll got %+v, %v, %v", c, ok, err)
	}
	if n := g.Stats().Queued; n == 0 || !large.Waiting() {
		t.Error("the job for which there was no room has lost its place")
	}
}

// TestLateLockersLookAgain provokes two races whose windows are too small to hit.
func TestLateLockersLookAgain(t *testing.T) {
	g := newGround()
	a := g.lock("A", true)
	a.mu.Unlock()
	g.Sweep(time.Now().Add(2 * time.Minute))
	if !a.swept {
		t.Error("a poll that waited for the agent's mutex would park where no job looks")
	}
	j := g.offer("u", 1, "A")
	take(&j.entry)
	g.Leave(&j.entry)
	g.try(&j.entry, 0, true)
	if n := g.Stats().Queued; n != 0 {
		t.Error("a job that is over entered a line after it had left all")
	}
	g.Sweep(time.Now().Add(2 * time.Minute))
	if n := g.Stats().Agents; n != 0 {
		t.Errorf("%d agents are kept", n)
	}
}
