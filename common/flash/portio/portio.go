// Package portio moves bytes over a port so that no call blocks longer than its context.
// Ports differ in how a Read can be ended: by a deadline, by a time-out in short slices,
// or only by closing the port. This package supports all three and hides them from the
// flasher and the monitor.
package portio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// ErrLost is wrapped by all errors of a port that is gone.
var ErrLost = errors.New("the port is gone")

// ErrStalled is wrapped by Write's error when the port still has not taken the
// bytes of an earlier Write whose context ended.
var ErrStalled = errors.New("the port has not taken the bytes that were sent before")

// readDeadliner and writeDeadliner are as in net.Conn.
type readDeadliner interface{ SetReadDeadline(time.Time) error }
type writeDeadliner interface{ SetWriteDeadline(time.Time) error }

// readTimeouter has the form of go.bug.st/serial: a Read that times out returns 0, nil.
type readTimeouter interface{ SetReadTimeout(time.Duration) error }

// slice is the longest Read on ports that have time-outs only.
const slice = 50 * time.Millisecond

// grace bounds how long Close waits for a pending write.
const grace = 200 * time.Millisecond

// Line owns two goroutines, one that reads and one that writes; Close waits for
// both. Its methods are for one goroutine at a time.
type Line struct {
	port io.ReadWriteCloser

	chunks  chan []byte // from the reader, closed when it ends
	readErr error       // why the reader ended; set before chunks is closed
	last    []byte      // the chunk that the reader held when it was stopped
	stop    chan struct{}

	writes     chan []byte
	written    chan error
	pending    bool // the context of a Write ended before the port took its bytes
	writerDone chan struct{}
}

// Open starts to read from port.
func Open(port io.ReadWriteCloser) (*Line, error) {
	l := &Line{
		port:   port,
		chunks: make(chan []byte, 64), stop: make(chan struct{}),
		writes: make(chan []byte), written: make(chan error, 1), writerDone: make(chan struct{}),
	}
	var err error
	switch p := port.(type) {
	case readDeadliner:
		err = p.SetReadDeadline(time.Time{})
	case readTimeouter:
		err = p.SetReadTimeout(slice)
	}
	if err != nil {
		return nil, fmt.Errorf("preparing the port for reading: %w", err)
	}
	go l.readLoop()
	go l.writeLoop()
	return l, nil
}

func (l *Line) readLoop() {
	defer close(l.chunks)
	buf := make([]byte, 4096)
	for {
		n, err := l.port.Read(buf)
		if n > 0 {
			chunk := bytes.Clone(buf[:n])
			select {
			case l.chunks <- chunk:
			case <-l.stop:
				l.last = chunk
				return
			}
		}
		select {
		case <-l.stop:
			return
		default:
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			l.readErr = err
			return
		}
	}
}

func (l *Line) writeLoop() {
	defer close(l.writerDone)
	for b := range l.writes {
		n, err := l.port.Write(b)
		if err == nil && n < len(b) {
			err = fmt.Errorf("%d of %d bytes were sent", n, len(b))
		}
		l.written <- err
	}
}

// Chunks delivers the received bytes, in order, until the port is lost. The channel is
// then closed, and Err returns the reason.
func (l *Line) Chunks() <-chan []byte { return l.chunks }

// Err returns why Chunks was closed. It must not be called before.
func (l *Line) Err() error { return fmt.Errorf("%w: %w", ErrLost, l.readErr) }

// Write sends a copy of b. When ctx ends first, Write returns its cause and the
// port may still take the bytes; the next Write first waits for that, and returns
// an error that wraps ErrStalled if its own context ends while it waits.
func (l *Line) Write(ctx context.Context, b []byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if l.pending {
		if err := l.result(ctx); err != nil {
			if l.pending {
				return fmt.Errorf("%w: %w", ErrStalled, err)
			}
			return err
		}
	}
	l.writes <- bytes.Clone(b)
	l.pending = true
	return l.result(ctx)
}

// result waits for the end of the pending write.
func (l *Line) result(ctx context.Context) error {
	select {
	case err := <-l.written:
		l.pending = false
		if err != nil {
			return fmt.Errorf("%w: %w", ErrLost, err)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close ends the goroutines, waits for them, and returns the bytes that had arrived and
// were not received from Chunks. It must be called once. The port stays open, unless
// closing it is the only way to end a pending Read or Write.
func (l *Line) Close() (rest []byte, err error) {
	close(l.stop)
	close(l.writes)
	closePort := false
	switch p := l.port.(type) {
	case readDeadliner:
		closePort = p.SetReadDeadline(time.Now()) != nil
	case readTimeouter:
	default:
		closePort = true
	}
	if l.pending && !l.writeEnds() {
		p, ok := l.port.(writeDeadliner)
		closePort = closePort || !ok || p.SetWriteDeadline(time.Now()) != nil
	}
	if closePort {
		err = l.port.Close()
	}
	for c := range l.chunks {
		rest = append(rest, c...)
	}
	rest = append(rest, l.last...)
	<-l.writerDone
	if !closePort && l.readErr == nil {
		err = l.restore()
	}
	return rest, err
}

// writeEnds reports whether the pending write ends within the grace time.
func (l *Line) writeEnds() bool {
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-l.writerDone:
		return true
	case <-t.C:
		return false
	}
}

// restore lifts the deadlines that Close has set.
func (l *Line) restore() error {
	var err error
	switch p := l.port.(type) {
	case readDeadliner:
		err = p.SetReadDeadline(time.Time{})
	case readTimeouter:
		err = p.SetReadTimeout(-1)
	}
	if p, ok := l.port.(writeDeadliner); ok && l.pending {
		err = errors.Join(err, p.SetWriteDeadline(time.Time{}))
	}
	return err
}
