package simulator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"sync"
)

// Serve connects the chip to rw, a cable without modem lines, and gives it power if it
// has none. It returns nil when ctx ends or the other end closes the cable, and [ErrBusy]
// when the chip is connected already. Serve owns rw: if rw is an io.Closer, Serve closes
// it before it returns, which also ends a waiting Read; otherwise Serve returns only
// after that Read.
func (c *Chip) Serve(ctx context.Context, rw io.ReadWriter) error {
	if err := c.connect(); err != nil {
		return err
	}
	defer c.disconnect()
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	closer, canClose := rw.(io.Closer)
	if canClose {
		defer closer.Close()
	}
	events := make(chan event)
	work.Go(func() { receiveFrom(ctx, rw, events) })
	out := &queue{room: make(chan struct{}, 1), ready: make(chan struct{}, 1)}
	work.Go(func() {
		if err := out.drainTo(ctx, rw); err != nil {
			cancel()
		}
	})
	s := &session{Chip: c, ctx: ctx, out: out, events: events}
	if err := s.run(); err != nil && !hangUp(err) {
		return fmt.Errorf("read from the host: %w", err)
	}
	return nil
}

// hangUp reports whether err is the ordinary end of a connection.
func hangUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, fs.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}

// receiveFrom turns reads into events until reading fails.
func receiveFrom(ctx context.Context, r io.Reader, events chan<- event) {
	for {
		buf := make([]byte, 4096)
		n, err := r.Read(buf)
		for _, ev := range []event{{data: buf[:n]}, {err: err}} {
			if len(ev.data) == 0 && ev.err == nil {
				continue
			}
			select {
			case events <- ev:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// Bounds of the output that waits for a host that does not read: console output beyond
// the first is lost, a loader's frames beyond the second wait.
const (
	consoleQueue = 4 << 10
	frameQueue   = 256 << 10
)

// queue is a sink that writes in its own goroutine, so that a host that does not
// read never stops the chip.
type queue struct {
	mu      sync.Mutex
	pending []byte
	console bool          // pending holds console output only
	ready   chan struct{} // there is something to write
	room    chan struct{} // something was written
}

func (q *queue) send(ctx context.Context, p []byte, _ int) {
	for {
		q.mu.Lock()
		if len(q.pending) < frameQueue {
			q.pending, q.console = append(q.pending, p...), false
			q.mu.Unlock()
			signal(q.ready)
			return
		}
		q.mu.Unlock()
		select {
		case <-q.room:
		case <-ctx.Done():
			return
		}
	}
}

func (q *queue) offer(p []byte, _ int) {
	q.mu.Lock()
	if len(q.pending) == 0 {
		q.console = true
	}
	if len(q.pending)+len(p) <= consoleQueue {
		q.pending = append(q.pending, p...)
	}
	q.mu.Unlock()
	signal(q.ready)
}

func (q *queue) discard() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.console {
		q.pending = nil
	}
}

// drainTo writes the queued bytes until the context ends or writing fails.
func (q *queue) drainTo(ctx context.Context, w io.Writer) error {
	for {
		select {
		case <-q.ready:
		case <-ctx.Done():
			return nil
		}
		q.mu.Lock()
		p := q.pending
		q.pending = nil
		q.mu.Unlock()
		if len(p) > 0 {
			if _, err := w.Write(p); err != nil {
				return err
			}
		}
		signal(q.room)
	}
}

// signal wakes the goroutine that waits on c, now or later.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// ServeListener serves the chip to the clients of l, one after the other, as raw bytes
// without modem lines. It owns l, and returns nil when ctx ends. Every client controls the
// simulated chip, so l should listen on loopback.
func (c *Chip) ServeListener(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept on %s: %w", l.Addr(), err)
		}
		if err := c.Serve(ctx, conn); err != nil {
			// A connection that fails does not end the service.
			c.log.Warn("connection ended", "client", conn.RemoteAddr().String(), "error", err)
		}
	}
}
