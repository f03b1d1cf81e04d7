package session

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/time/rate"

	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/peer"
)

// limits bound the traffic of all channels of a session together to the grant's
// rates: bytes in each direction, and messages from the client.
type limits struct {
	received, sent *rate.Limiter // bytes
	messages       *rate.Limiter
}

func newLimits(g *grant.Grant) limits {
	unlimited := func() *rate.Limiter { return rate.NewLimiter(rate.Inf, 0) }
	l := limits{received: unlimited(), sent: unlimited(), messages: unlimited()}
	if kbps := g.MaxBandwidthKbps; kbps > 0 {
		bytes := rate.Limit(kbps) * 1000 / 8
		l.received = rate.NewLimiter(bytes, channel.MaxMessage)
		l.sent = rate.NewLimiter(bytes, channel.MaxMessage)
	}
	if n := g.MaxMessageRate; n > 0 {
		l.messages = rate.NewLimiter(rate.Limit(n), n)
	}
	return l
}

// throttled is a channel of the connection that keeps to the limits. It reads late
// instead of refusing data that comes too fast; flow control then slows the client
// down. Its errors wrap peer.ErrLost unless they are the context's, even if the
// transport notices the end before the connection does.
type throttled struct {
	channel.Messages
	label  string
	limits limits
	owed   int // bytes of the last message
}

func (s *Session) throttle(m channel.Messages, label string) *throttled {
	return &throttled{Messages: m, label: label, limits: s.limits}
}

// ReadMessage waits before it reads, so that no message is lost when ctx ends.
func (w *throttled) ReadMessage(ctx context.Context) ([]byte, error) {
	if err := wait(ctx, w.limits.received, w.owed); err != nil {
		return nil, err
	}
	w.owed = 0
	if err := wait(ctx, w.limits.messages, 1); err != nil {
		return nil, err
	}
	data, err := w.Messages.ReadMessage(ctx)
	w.owed = len(data)
	return data, w.lost(ctx, err)
}

// WriteMessage implements channel.Messages.
func (w *throttled) WriteMessage(ctx context.Context, message []byte) error {
	if err := wait(ctx, w.limits.sent, len(message)); err != nil {
		return err
	}
	return w.lost(ctx, w.Messages.WriteMessage(ctx, message))
}

func (w *throttled) lost(ctx context.Context, err error) error {
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, peer.ErrLost):
		return err
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: the client closed the channel %s", peer.ErrLost, w.label)
	}
	return fmt.Errorf("%w: %w", peer.ErrLost, err)
}

// wait is rate.Limiter.WaitN that fails only when ctx has ended. The limiter itself
// fails at once if ctx will end too early.
func wait(ctx context.Context, l *rate.Limiter, n int) error {
	if l.WaitN(ctx, n) == nil {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}
