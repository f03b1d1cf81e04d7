package session

import (
	"context"
	"errors"
	"time"

	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/peer"
)

// farewells say how long the agent delivers the last logs and the result, and
// waits for the client to hang up. Closing earlier would lose data that is still on
// its way.
type farewells struct {
	idle    time.Duration // while no data flows
	most    time.Duration // in all
	stopped time.Duration // once the agent stops
}

func defaultFarewells() farewells {
	return farewells{idle: 10 * time.Second, most: time.Minute, stopped: 3 * time.Second}
}

// farewellLook is the interval at which the agent checks whether data flows.
const farewellLook = 100 * time.Millisecond

// Patience returns a context for work that outlives ctx: it ends after a while,
// or soon after ctx has ended. So a stop shortens work under way and does not cut
// it off.
func Patience(ctx context.Context, while, stopped time.Duration) (context.Context, context.CancelFunc) {
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), while)
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(stopped)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-work.Done():
		}
	})
	return work, func() { stop(); cancel() }
}

// farewell sends the result and returns when the client has hung up, or when
// its time is over. The time is renewed while the client takes data: a slow
// client that reads gets its result, and one that has stopped reading does not
// keep the agent.
func (s *Session) farewell(ctx context.Context) {
	work, cancel := Patience(ctx, s.host.farewells.most, s.host.farewells.stopped)
	defer cancel()
	sent := make(chan error, 1)
	go func() {
		sent <- s.control.send(work, &channel.Message{Type: channel.TypeResult, Result: s.ending.result()})
	}()
	look := time.NewTicker(farewellLook)
	defer look.Stop()
	last, flowed := s.conn.Buffered(), time.Now()
	for {
		select {
		case err := <-sent:
			if err != nil {
				if !errors.Is(err, peer.ErrLost) {
					s.log.Warn("the client did not get the result", "error", err)
				}
				return
			}
			sent = nil
			flowed = time.Now()
		case <-look.C:
			if now := s.conn.Buffered(); now != last {
				last, flowed = now, time.Now()
			}
			if time.Since(flowed) > s.host.farewells.idle {
				cancel()
			}
		case <-s.conn.Done():
			cancel()
			if sent != nil {
				<-sent
			}
			return
		case <-work.Done():
			if sent != nil {
				<-sent
				s.log.Warn("the client did not get the result", "error", context.Cause(work))
			}
			return
		}
	}
}
