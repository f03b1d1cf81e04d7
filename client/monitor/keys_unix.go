//go:build unix

package monitor

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// interruptible returns a Read that interrupt ends. A terminal inherited from a shell has
// no deadlines: giving it some would make it non-blocking, for the shell too. So the read
// waits for it and for a pipe, whichever is first.
func interruptible(in io.Reader) (read func([]byte) (int, error), interrupt func(), waits bool) {
	f, ok := in.(*os.File)
	if !ok {
		return withDeadline(in)
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return in.Read, func() {}, false
	}
	r, w, err := os.Pipe()
	if err != nil {
		return in.Read, func() {}, false
	}
	stop, err := r.SyscallConn()
	if err != nil {
		r.Close()
		w.Close()
		return in.Read, func() {}, false
	}
	var mu sync.Mutex // keeps r open while it is polled
	read = func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		ready, err := pollBoth(conn, stop)
		if err != nil {
			return 0, err
		}
		if !ready {
			return 0, errStopped
		}
		return f.Read(b)
	}
	return read, func() {
		w.Close()
		mu.Lock()
		defer mu.Unlock()
		r.Close()
	}, true
}

// control is the part of syscall.RawConn that gives access to a descriptor.
type control interface{ Control(func(fd uintptr)) error }

// pollBoth waits until in can be read, or has ended, or stop is closed, in which
// case it reports false.
func pollBoth(in, stop control) (ready bool, err error) {
	var pollErr error
	err = stop.Control(func(stopFD uintptr) {
		err := in.Control(func(fd uintptr) {
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(stopFD), Events: unix.POLLIN}}
			for {
				if _, pollErr = unix.Poll(fds, -1); pollErr != unix.EINTR {
					break
				}
			}
			ready = pollErr == nil && fds[1].Revents == 0
		})
		if pollErr == nil {
			pollErr = err
		}
	})
	if err == nil {
		err = pollErr
	}
	return ready, err
}
