//go:build !linux

package serialport

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"go.bug.st/serial"
)

// slice is how long a read waits before it looks at its deadline.
const slice = 50 * time.Millisecond

// sliced reads in short slices. Interrupting a write drops the bytes that the device has
// not taken.
type sliced struct {
	port     serial.Port
	unlock   func() error
	deadline atomic.Int64 // UnixNano of the end of reading; 0 is never
}

func openStream(name string) (func(serial.Port) stream, error) {
	unlock, err := lockName(name)
	if err != nil {
		return nil, err
	}
	return func(p serial.Port) stream {
		if p == nil {
			_ = unlock()
		}
		return &sliced{port: p, unlock: unlock}
	}, nil
}

func (s *sliced) Read(b []byte) (int, error) {
	if err := s.port.SetReadTimeout(slice); err != nil {
		return 0, err
	}
	for {
		if d := s.deadline.Load(); d != 0 && time.Now().UnixNano() >= d {
			return 0, os.ErrDeadlineExceeded
		}
		n, err := s.port.Read(b)
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (s *sliced) SetReadDeadline(t time.Time) error {
	s.deadline.Store(0)
	if !t.IsZero() {
		s.deadline.Store(t.UnixNano())
	}
	return nil
}

// Write continues after an interrupted system call.
func (s *sliced) Write(b []byte) (int, error) {
	sent := 0
	for sent < len(b) {
		n, err := s.port.Write(b[sent:])
		sent += n
		if err != nil && !errors.Is(err, syscall.EINTR) && !errors.Is(err, syscall.EAGAIN) {
			return sent, err
		}
		if n == 0 && err == nil {
			return sent, os.ErrDeadlineExceeded
		}
	}
	return sent, nil
}

func (s *sliced) SetWriteDeadline(t time.Time) error {
	if t.IsZero() || t.After(time.Now()) {
		return nil
	}
	return s.port.ResetOutputBuffer()
}

// Close releases the lock. The port is closed by the function that opened it.
func (s *sliced) Close() error { return s.unlock() }
