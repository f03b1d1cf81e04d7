package mailbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func bodies(events []Event) (all []string) {
	for _, e := range events {
		all = append(all, fmt.Sprint(e.Seq, " ", string(e.Body)))
	}
	return all
}

func put(t *testing.T, m *Mailboxes, agent, body string) {
	t.Helper()
	if err := m.Put("job", agent, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, m *Mailboxes, agent string, after int, list ...string) {
	t.Helper()
	got, err := m.Wait(t.Context(), "job", agent, after, time.Second)
	if err != nil || !slices.Equal(bodies(got), list) {
		t.Fatalf("%q after %d: %q, %v; want %q", agent, after, bodies(got), err, list)
	}
}

func TestBothWays(t *testing.T) {
	m := New(Config{})
	put(t, m, "", "c1") // before anybody has claimed the job
	m.Claim("job", "bench")
	put(t, m, "", "c2")
	put(t, m, "", "c1") // sent again
	put(t, m, "bench", "a1")
	want(t, m, "bench", 0, "1 c1", "2 c2")
	want(t, m, "bench", 1, "2 c2")
	want(t, m, "", 0, "1 a1")
	want(t, m, "", -5, "1 a1")
}

func TestWhoMay(t *testing.T) {
	m := New(Config{})
	if err := m.Put("job", "bench", nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("an agent, nobody's job: %v", err)
	}
	put(t, m, "", "c1")
	if err := m.Put("job", "bench", nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("an agent, not claimed: %v", err)
	}
	m.Claim("job", "first")
	put(t, m, "first", "a1")
	m.Claim("job", "second")
	if err := m.Put("job", "first", nil); !errors.Is(err, ErrNotHers) {
		t.Errorf("the former agent: %v", err)
	}
	if _, err := m.Wait(t.Context(), "job", "first", 0, 0); !errors.Is(err, ErrNotHers) {
		t.Errorf("the former agent waits: %v", err)
	}
	want(t, m, "second", 0, "1 c1")
}

func TestBounds(t *testing.T) {
	m := New(Config{MaxBodies: 2, MaxBytes: 3, MaxJobs: 2})
	put(t, m, "", "1")
	put(t, m, "", "2")
	if err := m.Put("job", "", []byte("3")); !errors.Is(err, ErrTooMany) {
		t.Errorf("a third body: %v", err)
	}
	if err := m.Put("other", "", []byte("44")); !errors.Is(err, ErrFull) {
		t.Errorf("a fourth byte: %v", err)
	}
	if err := m.Put("third", "", []byte("5")); !errors.Is(err, ErrFull) {
		t.Errorf("a third job: %v", err)
	}
}

// TestWaits runs in a bubble: the times are exact.
func TestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Config{})
		m.Claim("job", "bench")
		start := time.Now()
		if got, err := m.Wait(t.Context(), "job", "", 0, 25*time.Second); got != nil || err != nil || time.Since(start) != 25*time.Second {
			t.Errorf("nothing came: %v, %v after %v", got, err, time.Since(start))
		}

		start = time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { time.Sleep(3 * time.Second); put(t, m, "bench", "a1") })
		want(t, m, "", 0) // put's one second ends first
		got, err := m.Wait(t.Context(), "job", "", 0, 25*time.Second)
		if err != nil || len(got) != 1 || time.Since(start) != 3*time.Second {
			t.Errorf("%v, %v after %v", got, err, time.Since(start))
		}
		wg.Wait()

		// A newer reader takes the place of an older one.
		replaced := make(chan []Event)
		go func() { got, _ := m.Wait(t.Context(), "job", "", 1, 25*time.Second); replaced <- got }()
		synctest.Wait()
		newer := make(chan []Event)
		go func() { got, _ := m.Wait(t.Context(), "job", "", 1, 25*time.Second); newer <- got }()
		if got := <-replaced; got != nil {
			t.Errorf("the older reader got %v", got)
		}
		synctest.Wait()
		put(t, m, "bench", "a2")
		if got := bodies(<-newer); !slices.Equal(got, []string{"2 a2"}) {
			t.Errorf("the newer reader got %v", got)
		}

		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() { _, err := m.Wait(ctx, "job", "", 2, 25*time.Second); failed <- err }()
		synctest.Wait()
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}

		go func() { _, err := m.Wait(t.Context(), "job", "", 2, 25*time.Second); failed <- err }()
		synctest.Wait()
		m.Drain()
		if err := <-failed; err != nil {
			t.Errorf("drained: %v", err)
		}
	})
}

func TestForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Config{Memory: time.Minute})
		put(t, m, "", "c1")
		m.Claim("job", "bench")
		time.Sleep(59 * time.Second)
		want(t, m, "bench", 0, "1 c1") // a use
		time.Sleep(59 * time.Second)
		m.Touch("job")
		m.Touch("another")
		time.Sleep(59 * time.Second)
		want(t, m, "bench", 0, "1 c1")
		time.Sleep(2 * time.Minute)
		if err := m.Put("job", "bench", nil); !errors.Is(err, ErrUnknown) {
			t.Errorf("after its memory: %v", err)
		}
		if m.bytes.Load() != 0 || m.jobs.Load() != 0 {
			t.Errorf("%d bytes of %d jobs are left", m.bytes.Load(), m.jobs.Load())
		}
	})
}
