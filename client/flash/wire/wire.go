// Package wire moves bytes over a port so that nothing ever blocks longer than
// its context. Ports differ in how a Read can be ended: by a deadline, by a
// time-out in short slices, or only by closing the port. This package knows the
// three and hides them; the flasher and the monitor both stand on it.
package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// ErrLost is wrapped by all errors of a port that is gone or takes no bytes.
var ErrLost = errors.New("the port is gone")

// readDeadliner and writeDeadliner are as in net.Conn.
type readDeadliner interface{ SetReadDeadline(time.Time) error }
type writeDeadliner interface{ SetWriteDeadline(time.Time) error }

// readTimeouter is go.bug.st/serial's way: a Read that times out returns 0, nil.
type readTimeouter interface{ SetReadTimeout(time.Duration) error }

// slice is how often a Read looks whether it is still wanted, on ports that
// know time-outs only.
const slice = 50 * time.Millisecond

// grace is how long Close lets a write end by itself.
const grace = 200 * time.Millisecond

// Wire owns two goroutines, one that reads and one that writes; Close waits for
// both. Its methods are for one goroutine at a time.
type Wire struct {
	port io.ReadWriteCloser

	chunks  chan []byte // from the reader, closed when it ends
	readErr error       // why the reader ended; set before chunks is closed
	last    []byte      // what the reader could not hand over when it was stopped
	stop    chan struct{}

	writes     chan []byte
	written    chan error
	abandoned  bool // a write was given up on; its result has not come
	writerDone chan struct{}
}

// Open begins to read from port.
func Open(port io.ReadWriteCloser) (*Wire, error) {
	w := &Wire{
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
	go w.readLoop()
	go w.writeLoop()
	return w, nil
}

func (w *Wire) readLoop() {
	defer close(w.chunks)
	buf := make([]byte, 4096)
	for {
		n, err := w.port.Read(buf)
		if n > 0 {
			chunk := bytes.Clone(buf[:n])
			select {
			case w.chunks <- chunk:
			case <-w.stop:
				w.last = chunk
				return
			}
		}
		select {
		case <-w.stop:
			return
		default:
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			w.readErr = err
			return
		}
	}
}

func (w *Wire) writeLoop() {
	defer close(w.writerDone)
	for b := range w.writes {
		n, err := w.port.Write(b)
		if err == nil && n < len(b) {
			err = fmt.Errorf("%d of %d bytes were sent", n, len(b))
		}
		w.written <- err
	}
}

// Chunks delivers what arrives, in order, until the port is lost; then it is
// closed and Err says why.
func (w *Wire) Chunks() <-chan []byte { return w.chunks }

// Err says, after Chunks was closed, why.
func (w *Wire) Err() error { return fmt.Errorf("%w: %w", ErrLost, w.readErr) }

// Write sends b. It returns early when ctx ends; the write then goes on until
// Close ends it, and nothing more can be sent.
func (w *Wire) Write(ctx context.Context, b []byte) error {
	if w.abandoned {
		return fmt.Errorf("%w: it takes no more bytes", ErrLost)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	w.writes <- b
	select {
	case err := <-w.written:
		if err != nil {
			return fmt.Errorf("%w: %w", ErrLost, err)
		}
		return nil
	case <-ctx.Done():
		w.abandoned = true
		return context.Cause(ctx)
	}
}

// Close ends the goroutines, waits for them, and returns what had arrived and
// was not received from Chunks. It must be called once. The port stays open,
// unless nothing but closing it ends a Read or Write that is under way.
func (w *Wire) Close() (rest []byte, err error) {
	close(w.stop)
	close(w.writes)
	closePort := false
	switch p := w.port.(type) {
	case readDeadliner:
		closePort = p.SetReadDeadline(time.Now()) != nil
	case readTimeouter:
	default:
		closePort = true
	}
	if w.abandoned && !w.writeEnds() {
		p, ok := w.port.(writeDeadliner)
		closePort = closePort || !ok || p.SetWriteDeadline(time.Now()) != nil
	}
	if closePort {
		err = w.port.Close()
	}
	for c := range w.chunks {
		rest = append(rest, c...)
	}
	rest = append(rest, w.last...)
	<-w.writerDone
	if !closePort && w.readErr == nil {
		err = w.restore()
	}
	return rest, err
}

// writeEnds gives a write that was given up on a moment to end by itself, as it
// nearly always does: it was the answer that did not come.
func (w *Wire) writeEnds() bool {
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-w.writerDone:
		return true
	case <-t.C:
		return false
	}
}

// restore leaves the port waiting without limit, as it was found.
func (w *Wire) restore() error {
	var err error
	switch p := w.port.(type) {
	case readDeadliner:
		err = p.SetReadDeadline(time.Time{})
	case readTimeouter:
		err = p.SetReadTimeout(-1)
	}
	if p, ok := w.port.(writeDeadliner); ok && w.abandoned {
		err = errors.Join(err, p.SetWriteDeadline(time.Time{}))
	}
	return err
}
