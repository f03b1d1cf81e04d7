package flash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// link carries frames over a port. It owns two goroutines, one that reads and
// one that writes, so that no call blocks longer than its context; close waits
// for both. All methods but the loops belong to one goroutine.
type link struct {
	port Port

	chunks  chan []byte // from the reader, closed when it ends
	readErr error       // why the reader ended; set before chunks is closed
	last    []byte      // what the reader could not hand over when it was stopped
	stop    chan struct{}

	writes   chan []byte
	written  chan error
	writing  bool // a write was given up on; its result has not come
	writerUp chan struct{}

	dec     slipDecoder
	pending []byte // read, not yet decoded
	noise   []byte // the last bytes that were no answer, for the diagnosis
}

// maxNoise is how much of what was no answer is kept.
const maxNoise = 512

// pollRead is how often a read looks whether it is still wanted, on ports that
// know timeouts only.
const pollRead = 50 * time.Millisecond

func newLink(port Port) (*link, error) {
	l := &link{
		port:   port,
		chunks: make(chan []byte, 64), stop: make(chan struct{}),
		writes: make(chan []byte), written: make(chan error, 1), writerUp: make(chan struct{}),
	}
	var err error
	switch p := port.(type) {
	case readDeadliner:
		err = p.SetReadDeadline(time.Time{})
	case readTimeouter:
		err = p.SetReadTimeout(pollRead)
	}
	if err != nil {
		return nil, fmt.Errorf("preparing the port for reading: %w", err)
	}
	go l.readLoop()
	go l.writeLoop()
	return l, nil
}

func (l *link) readLoop() {
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

func (l *link) writeLoop() {
	defer close(l.writerUp)
	for b := range l.writes {
		n, err := l.port.Write(b)
		if err == nil && n < len(b) {
			err = fmt.Errorf("%d of %d bytes were sent", n, len(b))
		}
		l.written <- err
	}
}

var errPortLost = errors.New("the port is gone")

// write sends b. It returns early when ctx ends; the write then goes on until
// close ends it, and nothing more can be sent.
func (l *link) write(ctx context.Context, b []byte) error {
	if l.writing {
		return fmt.Errorf("%w: the port takes no more bytes", errPortLost)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	l.writes <- b
	select {
	case err := <-l.written:
		if err != nil {
			return fmt.Errorf("%w: %w", errPortLost, err)
		}
		return nil
	case <-ctx.Done():
		l.writing = true
		return context.Cause(ctx)
	}
}

// frame returns the next frame. It waits until ctx ends.
func (l *link) frame(ctx context.Context) ([]byte, error) {
	for {
		for i, b := range l.pending {
			before := l.dec.frame
			f, ok := l.dec.add(b)
			if ok {
				l.pending = l.pending[i+1:]
				return f, nil
			}
			if b == slipEnd {
				l.remember(before)
			}
		}
		l.pending = nil
		select {
		case c, ok := <-l.chunks:
			if !ok {
				return nil, fmt.Errorf("%w: %w", errPortLost, l.readErr)
			}
			l.pending = c
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// remember keeps the end of what came and was no answer.
func (l *link) remember(b []byte) {
	l.noise = append(l.noise, b...)
	if n := len(l.noise) - maxNoise; n > 0 {
		l.noise = bytes.Clone(l.noise[n:])
	}
}

// heard is what came since the last forget and was no answer.
func (l *link) heard() []byte { return append(bytes.Clone(l.noise), l.dec.frame...) }

// forget drops everything that has arrived.
func (l *link) forget() {
	for {
		select {
		case _, ok := <-l.chunks:
			if ok {
				continue
			}
		default:
		}
		break
	}
	l.pending, l.noise, l.dec = nil, nil, slipDecoder{}
}

// close ends the goroutines and waits for them. It returns what was read and
// not used. The port stays open, unless nothing but closing it ends a Read or
// Write that is under way.
func (l *link) close() (tail []byte, err error) {
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
	if l.writing && !l.writesSoon() {
		p, ok := l.port.(writeDeadliner)
		closePort = closePort || !ok || p.SetWriteDeadline(time.Now()) != nil
	}
	if closePort {
		err = l.port.Close()
	}
	tail = append(tail, l.pending...)
	for c := range l.chunks {
		tail = append(tail, c...)
	}
	tail = append(tail, l.last...)
	<-l.writerUp
	if !closePort {
		err = l.restore()
	}
	return tail, err
}

// writesSoon gives a write that was given up on a moment to end by itself, as
// it nearly always does: it was the answer that did not come.
func (l *link) writesSoon() bool {
	t := time.NewTimer(200 * time.Millisecond)
	defer t.Stop()
	select {
	case <-l.writerUp:
		return true
	case <-t.C:
		return false
	}
}

// restore leaves the port waiting without limit, as it was found.
func (l *link) restore() error {
	var err error
	switch p := l.port.(type) {
	case readDeadliner:
		err = p.SetReadDeadline(time.Time{})
	case readTimeouter:
		err = p.SetReadTimeout(-1)
	}
	if p, ok := l.port.(writeDeadliner); ok && l.writing {
		err = errors.Join(err, p.SetWriteDeadline(time.Time{}))
	}
	if l.readErr != nil {
		return nil // the port is gone; the caller knows already
	}
	return err
}
