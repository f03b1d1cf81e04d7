package flash

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/farforge/farforge/common/flash/portio"
)

// link carries frames over a port.
type link struct {
	line    *portio.Line
	dec     slipDecoder
	pending []byte // read, not yet decoded
	noise   []byte // the last bytes outside answers, for the diagnosis
}

// maxNoise bounds the noise that is kept.
const maxNoise = 512

func newLink(port Port) (*link, error) {
	line, err := portio.Open(port)
	if err != nil {
		return nil, err
	}
	return &link{line: line}, nil
}

// errQuiet reports a frame that began and did not end.
var errQuiet = errors.New("the line went quiet")

// frame returns the next frame. It waits until ctx ends. After the first bytes outside a
// complete frame, it waits at most quiet for each further byte, unless quiet is zero.
func (l *link) frame(ctx context.Context, quiet time.Duration) ([]byte, error) {
	var silence <-chan time.Time
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
		if quiet > 0 && len(l.noise)+len(l.dec.frame) > 0 {
			t := time.NewTimer(quiet)
			defer t.Stop()
			silence = t.C
		}
		select {
		case c, ok := <-l.line.Chunks():
			if !ok {
				return nil, l.line.Err()
			}
			l.pending = c
		case <-silence:
			return nil, errQuiet
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// remember adds bytes to the noise.
func (l *link) remember(b []byte) {
	l.noise = append(l.noise, b...)
	if n := len(l.noise) - maxNoise; n > 0 {
		l.noise = bytes.Clone(l.noise[n:])
	}
}

// heard returns the noise since the last forget.
func (l *link) heard() []byte { return append(bytes.Clone(l.noise), l.dec.frame...) }

// forget drops everything that has arrived.
func (l *link) forget() {
	l.pending, l.noise, l.dec = nil, nil, slipDecoder{}
	for {
		select {
		case _, ok := <-l.line.Chunks():
			if ok {
				continue
			}
		default:
		}
		return
	}
}

// close ends the use of the port, and returns the bytes that were read and not used.
func (l *link) close() ([]byte, error) {
	rest, err := l.line.Close()
	return append(l.pending, rest...), err
}
