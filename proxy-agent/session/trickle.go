package session

import (
	"context"
	"sync"

	"github.com/farforge/farforge/common/signaling"
)

// Trickle exchanges ICE candidates with the client through the broker, and
// returns when the two ends are connected, the connection has failed or ctx
// ends. It does nothing if the client's offer has all candidates: then the answer
// has all of the agent's.
func (s *Session) Trickle(ctx context.Context, broker signaling.Trickle) {
	if !s.trickles {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var loops sync.WaitGroup
	defer loops.Wait()
	loops.Go(func() {
		if err := broker.Send(ctx, s.localCandidate); err != nil && ctx.Err() == nil {
			s.log.Debug("candidates did not reach the broker", "error", err)
		}
	})
	loops.Go(func() {
		if err := broker.Receive(ctx, s.remoteCandidate); err != nil && ctx.Err() == nil {
			s.log.Debug("the client's candidates did not arrive", "error", err)
		}
	})
	_ = s.conn.Connected(ctx) // Serve returns its error
	cancel()
}

func (s *Session) localCandidate(ctx context.Context, i int) ([]byte, error) {
	candidate, err := s.conn.Trickle().Local(ctx, i)
	if err != nil {
		return nil, err
	}
	return s.offer.SealCandidate(candidate)
}

func (s *Session) remoteCandidate(body []byte) (last bool) {
	candidate, err := s.offer.OpenCandidate(s.host.Sealing, body)
	if err == nil {
		last, err = s.conn.Trickle().Remote(candidate)
	}
	if err != nil {
		s.log.Debug("ignored a candidate", "error", err)
		return false
	}
	return last
}
