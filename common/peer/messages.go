package peer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pion/datachannel"

	"github.com/farforge/farforge/common/channel"
)

// A writer waits while more than highWater bytes are buffered, until at most
// lowWater are. A small buffer keeps progress bars accurate.
const (
	highWater = 1 << 20
	lowWater  = 512 << 10
)

// messages is a detached data channel as a channel.Messages.
type messages struct {
	conn  *Conn
	label string
	dc    *datachannel.DataChannel
	text  bool // sends strings, as browsers expect JSON
	buf   []byte
	low   chan struct{} // holds a token when the buffer has run low
}

func newMessages(conn *Conn, label string, raw datachannel.ReadWriteCloserDeadliner) (*messages, error) {
	dc, ok := raw.(*datachannel.DataChannel)
	if !ok {
		return nil, fmt.Errorf("open the channel %s: a detached channel is a %T", label, raw)
	}
	m := &messages{
		conn: conn, label: label, dc: dc, text: label == channel.LabelControl,
		buf: make([]byte, channel.MaxMessage), low: make(chan struct{}, 1),
	}
	dc.SetBufferedAmountLowThreshold(lowWater)
	dc.OnBufferedAmountLow(func() {
		select {
		case m.low <- struct{}{}:
		default:
		}
	})
	return m, nil
}

// ReadMessage implements [channel.Messages].
func (m *messages) ReadMessage(ctx context.Context) ([]byte, error) {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = m.dc.SetReadDeadline(time.Unix(1, 0))
		close(interrupted)
	})
	n, err := m.dc.Read(m.buf)
	if !stop() {
		<-interrupted
		_ = m.dc.SetReadDeadline(time.Time{})
	}
	switch {
	case err == nil:
		m.conn.received.Add(int64(n))
		return m.buf[:n], nil
	case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil:
		return nil, fmt.Errorf("read from the channel %s: %w", m.label, ctx.Err())
	default:
		return nil, m.conn.lost(err)
	}
}

// WriteMessage implements [channel.Messages].
func (m *messages) WriteMessage(ctx context.Context, message []byte) error {
	if len(message) > channel.MaxMessage {
		return fmt.Errorf("write to the channel %s: %d bytes in one message, at most %d are allowed", m.label, len(message), channel.MaxMessage)
	}
	for m.dc.BufferedAmount() > highWater {
		select {
		case <-m.low:
		case <-m.conn.done:
			return m.conn.Err()
		case <-ctx.Done():
			return fmt.Errorf("write to the channel %s: %w", m.label, ctx.Err())
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("write to the channel %s: %w", m.label, err)
	}
	n, err := m.dc.WriteDataChannel(message, m.text)
	if err != nil {
		return fmt.Errorf("write to the channel %s: %w", m.label, m.conn.lost(err))
	}
	m.conn.sent.Add(int64(n))
	return nil
}

// Close implements [channel.Messages].
func (m *messages) Close() error { return m.dc.Close() }
