package monitor

import (
	"context"
	"time"

	"github.com/farforge/farforge/common/flash"
)

const (
	ctrlLeave = 0x1D // Ctrl-]
	ctrlMenu  = 0x14 // Ctrl-T
)

// sendTimeout bounds the time in which the board takes a key.
const sendTimeout = 2 * time.Second

const help = `keys: Ctrl-] leaves; after Ctrl-T:
---   R  reset the board            P  restart it into its loader
---   Y  pause, continue          L  log to a file, and stop
---   I  show times, and stop       H  this help
---   Ctrl-T, Ctrl-]  send that key to the board`

// press acts on the keys that the user pressed.
func (m *monitor) press(ctx context.Context, keys []byte) error {
	var send []byte
	for _, k := range keys {
		switch {
		case m.command:
			m.command = false
			if k == ctrlLeave || k == ctrlMenu {
				send = append(send, k)
			} else if err := m.obey(ctx, k); err != nil {
				return err
			}
		case k == ctrlMenu:
			m.command = true
		case k == ctrlLeave:
			return errLeave
		default:
			send = append(send, k)
		}
	}
	return m.send(ctx, send)
}

func (m *monitor) send(ctx context.Context, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if m.line == nil {
		m.screen.say("the port is away")
		return nil
	}
	until, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	err := m.line.Write(until, b)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case until.Err() != nil:
		m.screen.say("the board takes no input")
		return nil
	}
	return lost(err)
}

// obey runs a command. Control characters stand for their letter.
func (m *monitor) obey(ctx context.Context, key byte) error {
	if key < ' ' {
		key += '@'
	}
	s := m.screen
	switch key {
	case 'r', 'R':
		return m.reset(ctx, "resetting the board", flash.Restart)
	case 'p', 'P':
		return m.reset(ctx, "restarting the board into its loader", flash.EnterLoader)
	case 'y', 'Y':
		s.paused = !s.paused
		if s.paused {
			s.say("paused; Ctrl-T Y continues")
		} else {
			s.say("continued; %d lines were not shown", s.missed)
			s.missed = 0
		}
	case 'l', 'L':
		m.toggleLog()
	case 'i', 'I':
		s.timestamps = !s.timestamps
	case 'h', 'H', '?':
		s.say("%s", help)
	default:
		s.say("there is no such command; Ctrl-T H shows all")
	}
	return nil
}

func (m *monitor) reset(ctx context.Context, what string, do func(context.Context, flash.Port) error) error {
	if m.line == nil {
		m.screen.say("the port is away")
		return nil
	}
	m.screen.say("%s", what)
	if err := do(ctx, m.port); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		m.screen.say("%v", err)
	}
	return nil
}

func (m *monitor) toggleLog() {
	s := m.screen
	if s.log != nil {
		err := s.log.close()
		name := s.log.f.Name()
		s.log = nil
		if err != nil {
			s.say("%v", err)
			return
		}
		s.say("logged to %s", name)
		return
	}
	l, err := openLog(m.o.LogDir)
	if err != nil {
		s.say("cannot log: %v", err)
		return
	}
	s.log = l
	s.say("logging to %s; Ctrl-T L stops it", l.f.Name())
}
