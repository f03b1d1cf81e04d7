package session

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/peer"
)

// endlessMessages sends as fast as the reader allows.
type endlessMessages struct {
	channel.Messages
	size int
	err  error
}

func (e endlessMessages) ReadMessage(context.Context) ([]byte, error) {
	return make([]byte, e.size), e.err
}

func (e endlessMessages) WriteMessage(context.Context, []byte) error { return e.err }

func TestBothEndsAreSlowedDownToTheGrant(t *testing.T) {
	receive := func(ctx context.Context, w *throttled) error { _, err := w.ReadMessage(ctx); return err }
	send := func(ctx context.Context, w *throttled) error { return w.WriteMessage(ctx, make([]byte, 50_000)) }
	for _, c := range []struct {
		name  string
		grant grant.Grant
		size  int
		pass  func(context.Context, *throttled) error
		count int
		want  time.Duration
	}{
		{"unlimited", grant.Grant{}, 1000, receive, 1000, 0},
		{"unlimited out", grant.Grant{}, 0, send, 1000, 0},
		{"messages", grant.Grant{MaxMessageRate: 10}, 1, receive, 31, 2100 * time.Millisecond}, // 10 at once, then 10 a second
		{"messages of the agent are not counted", grant.Grant{MaxMessageRate: 10}, 0, send, 31, 0},
		// 64 KiB at once, then a megabit is 125 000 bytes a second. Each message
		// is paid for before the next one is read.
		{"bandwidth", grant.Grant{MaxBandwidthKbps: 1000}, 50_000, receive, 11, (500_000 - 65_536) * time.Second / 125_000},
		{"bandwidth out", grant.Grant{MaxBandwidthKbps: 1000}, 0, send, 10, (500_000 - 65_536) * time.Second / 125_000},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &Session{limits: newLimits(&c.grant)}
			// Two channels of a session share its rate.
			wires := []*throttled{s.throttle(endlessMessages{size: c.size}, "source"), s.throttle(endlessMessages{size: c.size}, "espctl")}
			if c.pass(t.Context(), wires[0]) != nil {
				t.Fatal("the first message does not pass")
			}
			wires[1].owed, wires[0].owed = wires[0].owed, 0 // as if it had come there
			began := time.Now()
			for range c.count - 1 {
				if err := c.pass(t.Context(), wires[1]); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(began); took.Round(time.Millisecond) != c.want.Round(time.Millisecond) {
				t.Errorf("%s: took %v, want %v", c.name, took, c.want)
			}
		})
	}
}

func TestWaitingForTheLimitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Session{limits: newLimits(&grant.Grant{MaxMessageRate: 1})}
		w := s.throttle(endlessMessages{size: 1}, "source")
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := w.ReadMessage(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := w.ReadMessage(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestBrokenChannelIsALostPeer(t *testing.T) {
	for _, err := range []error{io.EOF, errors.New("abort chunk")} {
		s := &Session{limits: newLimits(&grant.Grant{})}
		if _, got := s.throttle(endlessMessages{err: err}, "source").ReadMessage(t.Context()); !errors.Is(got, peer.ErrLost) {
			t.Errorf("%v became %v", err, got)
		}
	}
}
