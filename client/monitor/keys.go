package monitor

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"time"
)

// errStopped ends a read of keys.
var errStopped = errors.New("no more keys are wanted")

// readKeys delivers the bytes read from in, and closes the channel at the end of in. stop
// ends the reading and waits for it. A reader that is neither a file on a Unix system nor
// has deadlines cannot be interrupted: its goroutine ends after one more Read, for which
// stop does not wait.
func readKeys(in io.Reader) (keys <-chan []byte, stop func()) {
	if in == nil {
		return nil, func() {}
	}
	out, quit := make(chan []byte), make(chan struct{})
	read, interrupt, waits := interruptible(in)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(out)
		buf := make([]byte, 256)
		for {
			n, err := read(buf)
			if n > 0 {
				select {
				case out <- bytes.Clone(buf[:n]):
				case <-quit:
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	return out, func() {
		close(quit)
		interrupt()
		if waits {
			wg.Wait()
		}
	}
}

// withDeadline interrupts a reader that has deadlines.
func withDeadline(in io.Reader) (read func([]byte) (int, error), interrupt func(), waits bool) {
	d, ok := in.(interface{ SetReadDeadline(time.Time) error })
	if !ok || d.SetReadDeadline(time.Time{}) != nil {
		return in.Read, func() {}, false
	}
	return in.Read, func() { _ = d.SetReadDeadline(time.Now()) }, true
}
