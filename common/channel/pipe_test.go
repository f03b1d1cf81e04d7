package channel

import (
	"context"
	"io"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipe returns the two ends of a channel in memory.
func pipe() (a, b Messages) {
	x, y := make(chan []byte, 4), make(chan []byte, 4)
	done := make(chan struct{})
	once := &sync.Once{}
	return &end{x, y, done, once}, &end{y, x, done, once}
}

type end struct {
	in, out chan []byte
	done    chan struct{}
	once    *sync.Once
}

func (e *end) ReadMessage(ctx context.Context) ([]byte, error) {
	select {
	case m := <-e.in:
		return m, nil
	default:
	}
	select {
	case m := <-e.in:
		return m, nil
	case <-e.done:
		return nil, io.EOF
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (e *end) WriteMessage(ctx context.Context, m []byte) error {
	if len(m) > MaxMessage {
		panic("a message longer than MaxMessage was written")
	}
	select {
	case e.out <- append([]byte(nil), m...):
		return nil
	case <-e.done:
		return io.ErrClosedPipe
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *end) Close() error { e.once.Do(func() { close(e.done) }); return nil }
