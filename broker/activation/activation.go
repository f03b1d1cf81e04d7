// Package activation adopts listening sockets that a service manager has opened,
// as systemd does for socket units (sd_listen_fds(3)), and tells the manager when
// the broker is ready (sd_notify(3)). This lets the broker listen on ports below
// 1024 without root.
//
//	LISTEN_PID=4711                     the process that gets the sockets
//	LISTEN_FDS=2                        the number of sockets, from descriptor 3 on
//	LISTEN_FDNAMES=api:http             their names, FileDescriptorName= in the unit
//	NOTIFY_SOCKET=/run/systemd/notify   the socket for READY=1, with Type=notify
package activation

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// most bounds the number of sockets.
const most = 16

// Sockets holds listeners by name. Its methods are not safe for concurrent use.
type Sockets struct {
	names     []string
	listeners []net.Listener
}

// Take returns the sockets for this process; there may be none. It clears the
// environment variables, so that no child adopts the sockets, too. The caller
// calls it once.
func Take() (*Sockets, error) {
	ours := os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid())
	count := os.Getenv("LISTEN_FDS")
	// The library ignores a wrong number.
	if n, err := strconv.Atoi(count); ours && count != "" && (err != nil || n < 0 || n > most) {
		return nil, fmt.Errorf("take sockets from the service manager: LISTEN_FDS=%q is not a number from 0 to %d", count, most)
	}
	s := &Sockets{}
	var errs []error
	for _, f := range activation.Files(true) {
		l, err := net.FileListener(f)
		if err != nil {
			errs = append(errs, fmt.Errorf("take socket %q (descriptor %d) from the service manager: %w", f.Name(), f.Fd(), err))
		} else {
			s.names, s.listeners = append(s.names, f.Name()), append(s.listeners, l)
		}
		_ = f.Close() // the listener has a descriptor of its own
	}
	if errs != nil {
		return nil, errors.Join(append(errs, s.Close())...)
	}
	return s, nil
}

// Named removes the socket of that name and returns it, or nil.
func (s *Sockets) Named(name string) net.Listener {
	if i := slices.Index(s.names, name); i >= 0 {
		return s.remove(i)
	}
	return nil
}

// Rest removes the only remaining socket, whatever its name, and returns it, or
// nil. More than one is an error.
func (s *Sockets) Rest() (net.Listener, error) {
	switch len(s.listeners) {
	case 0:
		return nil, nil
	case 1:
		return s.remove(0), nil
	default:
		return nil, fmt.Errorf("the service manager passes sockets with unknown names: %s; set FileDescriptorName= in the socket units", strings.Join(s.names, ", "))
	}
}

func (s *Sockets) remove(i int) net.Listener {
	l := s.listeners[i]
	s.names, s.listeners = slices.Delete(s.names, i, i+1), slices.Delete(s.listeners, i, i+1)
	return l
}

// Close closes the remaining sockets.
func (s *Sockets) Close() error {
	var err error
	for _, l := range s.listeners {
		err = errors.Join(err, l.Close())
	}
	s.names, s.listeners = nil, nil
	return err
}

// Ready tells the service manager that the broker serves, if the manager has asked
// for it.
func Ready() error {
	if _, err := daemon.SdNotify(true, daemon.SdNotifyReady); err != nil {
		return fmt.Errorf("tell the service manager that the broker is ready: %w", err)
	}
	return nil
}
