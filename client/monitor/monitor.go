// Package monitor shows the output of a board's serial port, and sends the user's keys,
// until the user, the options or the context end it.
//
//	port ─▶ line ─▶ screen ─▶ Out      escapes what could upset a terminal
//	                  │ └───▶ log file, without colors
//	                  └─────▶ until    does the text match?
//	In ───▶ keys ─▶ line ─▶ port
//	          └───▶ commands: the keys that idf.py monitor has
//
// Ctrl-] leaves. Ctrl-T is followed by a command: R resets the board, P restarts it
// into its loader, Y pauses, L logs to a file, I shows times, H helps, each also with
// Ctrl held. Ctrl-T or Ctrl-] after Ctrl-T is sent to the board.
//
// Package boardtext decides which of the board's bytes reach a terminal. The monitor
// waits for a port that goes away, as a board's own USB port does in a reset.
package monitor

import (
	"context"
	"errors"
	"time"

	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/common/flash/boardtext"
	"github.com/farforge/farforge/common/flash/portio"
)

// ErrNotSeen reports that the time of For was over before Until was met.
var ErrNotSeen = errors.New("the board did not print the expected output")

// errLeave ends the monitor without an error.
var errLeave = errors.New("left")

// restOfLine bounds the wait for the end of the line that contains Until.Text.
const restOfLine = 100 * time.Millisecond

// reopenPause is the time between two attempts to open a port that went away.
const reopenPause = 300 * time.Millisecond

// monitor is one run.
type monitor struct {
	o       Options
	port    flash.Port
	mine    bool         // the monitor has opened the port
	line    *portio.Line // nil while the port is away
	retry   <-chan time.Time
	screen  *screen
	until   boardtext.Matcher
	ending  <-chan time.Time // the text was seen; its line may still end
	command bool             // Ctrl-T was pressed
}

// Run shows the bytes from port until the user leaves, Until is met or For is over (nil),
// For is over before Until is met (ErrNotSeen), ctx ends (its error), or the port is lost
// and cannot be reopened (a *flash.Error). The port stays open, unless its Read cannot be
// ended otherwise or it was lost.
func Run(ctx context.Context, port flash.Port, o Options) (err error) {
	l, err := portio.Open(port)
	if err != nil {
		return lost(err)
	}
	m := &monitor{o: o, port: port, line: l, screen: newScreen(o), until: boardtext.NewMatcher(o.Until.Text)}
	keys, stopKeys := readKeys(o.In)
	defer func() {
		stopKeys()
		m.screen.end()
		closeErr := m.close()
		if errors.Is(err, errLeave) {
			err = nil
		}
		if err == nil {
			err = errors.Join(m.screen.err, closeErr)
		}
	}()
	if err := m.receive(o.Initial); err != nil {
		return err
	}
	var over <-chan time.Time
	if o.For > 0 {
		t := time.NewTimer(o.For)
		defer t.Stop()
		over = t.C
	}
	return m.loop(ctx, keys, over)
}

// close releases the port, and closes it if the monitor opened it.
func (m *monitor) close() error {
	if m.line == nil {
		return nil
	}
	_, err := m.line.Close()
	m.line = nil
	if m.mine {
		err = errors.Join(err, m.port.Close())
	}
	return err
}

func (m *monitor) loop(ctx context.Context, keys <-chan []byte, over <-chan time.Time) error {
	for {
		var chunks <-chan []byte
		if m.line != nil {
			chunks = m.line.Chunks()
		}
		var err error
		select {
		case b, ok := <-chunks:
			if ok {
				err = m.receive(b)
			} else {
				err = m.portLost(m.line.Err())
			}
		case <-m.retry:
			err = m.reopen(ctx)
		case k, ok := <-keys:
			if !ok {
				keys = nil
			}
			err = m.press(ctx, k)
		case <-m.ending:
			return errLeave
		case <-over:
			if m.o.Until != (Until{}) && m.ending == nil {
				return ErrNotSeen
			}
			return errLeave
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// portLost begins to wait for the port, if it can be opened again.
func (m *monitor) portLost(why error) error {
	if m.o.Reopen == nil {
		return lost(why)
	}
	m.screen.say("the port went away; waiting for it")
	// The port is gone: closing it only frees its resources.
	_, _ = m.line.Close()
	_ = m.port.Close()
	m.line, m.mine = nil, false
	m.retry = time.After(reopenPause)
	return nil
}

func (m *monitor) reopen(ctx context.Context) error {
	m.retry = nil
	port, err := m.o.Reopen(ctx)
	if err == nil {
		m.port = port
		m.line, err = portio.Open(port)
		if err != nil {
			_ = port.Close()
		}
	}
	if err != nil {
		m.retry = time.After(reopenPause)
		return nil
	}
	m.mine = true
	m.screen.say("the port is back")
	return nil
}

// receive shows bytes from the board.
func (m *monitor) receive(b []byte) error {
	for _, c := range b {
		newline := m.screen.add(c)
		if m.ending == nil && m.until.Add(c) {
			m.ending = time.After(restOfLine)
		}
		if newline && m.ending != nil {
			return errLeave
		}
		if newline && m.o.Until.Lines > 0 && m.screen.lines >= m.o.Until.Lines {
			return errLeave
		}
	}
	m.screen.flush()
	return m.screen.err
}

func lost(err error) error {
	return &flash.Error{Kind: flash.KindPort, Msg: "the port went away while watching the board", Err: err,
		Hint: "check the cable; a board that restarts over its own USB port appears again under the same name"}
}
