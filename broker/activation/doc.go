// Package activation takes listening sockets from a service manager that has
// opened them, as systemd does for socket units (sd_listen_fds(3)). So a broker
// can be reached on ports below 1024 without ever having been root.
//
//	LISTEN_PID=4711            the process that they are for
//	LISTEN_FDS=2               how many there are, from descriptor 3 on
//	LISTEN_FDNAMES=api:http    their names, FileDescriptorName= in the unit
package activation

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// first is the first descriptor that is handed over.
const first = 3

// most bounds how many are taken.
const most = 16

// Sockets are listeners by name. Its methods are not for concurrent use.
type Sockets struct {
	names     []string
	listeners []net.Listener
}

// Take returns what was handed over to this process, and nothing if there is
// nothing. It clears the environment variables, so that no child takes the
// sockets for its own. It must be called once.
func Take() (*Sockets, error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(name) // fails only for names that cannot be
	}
	n, err := parse(pid, count, os.Getpid())
	if err != nil || n == 0 {
		return &Sockets{}, err
	}
	return open(n, strings.Split(names, ":"))
}

// parse returns how many sockets are for the process pid.
func parse(forPID, count string, pid int) (int, error) {
	if forPID == "" || count == "" {
		return 0, nil
	}
	if p, err := strconv.Atoi(forPID); err != nil || p != pid {
		return 0, nil // for somebody who started us
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("take sockets from the service manager: LISTEN_FDS=%q is no number from 0 to %d", count, most)
	}
	return n, nil
}

func open(n int, names []string) (*Sockets, error) {
	s := &Sockets{}
	for i := range n {
		name := ""
		if i < len(names) {
			name = names[i]
		}
		l, err := listener(first+i, name)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("take socket %q (descriptor %d) from the service manager: %w", name, first+i, err), s.Close())
		}
		s.names, s.listeners = append(s.names, name), append(s.listeners, l)
	}
	return s, nil
}

// Named removes the socket of that name and returns it, or nil.
func (s *Sockets) Named(name string) net.Listener {
	for i, n := range s.names {
		if n == name {
			return s.remove(i)
		}
	}
	return nil
}

// Rest removes the only socket that is left, whatever its name, and returns it,
// or nil. More than one is an error.
func (s *Sockets) Rest() (net.Listener, error) {
	switch len(s.listeners) {
	case 0:
		return nil, nil
	case 1:
		return s.remove(0), nil
	default:
		return nil, fmt.Errorf("the service manager hands over sockets whose names say nothing: %s; set FileDescriptorName= in the socket units", strings.Join(s.names, ", "))
	}
}

func (s *Sockets) remove(i int) net.Listener {
	l := s.listeners[i]
	s.names = append(s.names[:i], s.names[i+1:]...)
	s.listeners = append(s.listeners[:i], s.listeners[i+1:]...)
	return l
}

// Close closes what nobody has taken.
func (s *Sockets) Close() error {
	var err error
	for _, l := range s.listeners {
		err = errors.Join(err, l.Close())
	}
	s.names, s.listeners = nil, nil
	return err
}
