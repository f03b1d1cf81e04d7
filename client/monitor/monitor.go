// Package monitor shows what a board prints on its serial port, and sends what
// the user types, until told to stop.
//
//	port ─▶ wire ─▶ screen ─▶ Out      escapes what could upset a terminal
//	                  │ └───▶ log file, without colors
//	                  └─────▶ until    is it what was waited for?
//	In ───▶ keys ─▶ wire ─▶ port
//	          └───▶ commands: the keys that idf.py monitor has
//
// Ctrl-] leaves. Ctrl-T is followed by a command: R resets the board, P restarts
// it into its loader, Y pauses, L logs to a file, I shows times, H helps, each
// also with Ctrl held. Ctrl-T or Ctrl-] after Ctrl-T is sent to the board.
//
// A board may print anything, a terminal obeys much of it. Only text, newline,
// tab, carriage return and colors pass; every other control character and
// whatever is not UTF-8 is shown as an escape such as \x07.
package monitor

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/common/flash/boardtext"
	"github.com/farforge/farforge/common/flash/portio"
)

// Options say what to show and when to end. Only Out is required.
type Options struct {
	Out io.Writer
	// In gives the user's keys, in a terminal's raw mode. Nil means none. Its end
	// does not end the monitor.
	In io.Reader
	// RawTerminal says that Out is a terminal in raw mode, where a new line needs
	// a carriage return too.
	RawTerminal bool
	// Initial is shown first: what was read from the port before, as
	// flash.Device.Tail gives it.
	Initial []byte
	// Timestamps puts the time before each line.
	Timestamps bool
	// Filter, if not nil, decides which lines are shown. It gets a line without
	// its end and without colors, once the line is complete.
	Filter func(line string) bool
	// Until ends the monitor when the board has said something.
	Until Until
	// For ends the monitor after some time. Zero means no limit.
	For time.Duration
	// LogDir is where the L command makes its files. Empty means the current folder.
	LogDir string
}

// Until is what to wait for: a text, a number of lines, or whichever comes
// first. The zero value waits for nothing.
type Until struct {
	// Text is found wherever it stands in what the board sends, byte for byte. The
	// rest of its line is shown if it follows within a tenth of a second.
	Text string
	// Lines is the number of lines shown, counting those that pass the filter.
	Lines int
}

// ErrNotSeen is returned when the time of For was over before Until came true.
var ErrNotSeen = errors.New("the board did not print what was waited for")

// errLeave ends the monitor without an error.
var errLeave = errors.New("left")

// restOfLine is how long the end of the line of Until.Text may take.
const restOfLine = 100 * time.Millisecond

// monitor is one run.
type monitor struct {
	o       Options
	port    flash.Port
	line    *portio.Line
	screen  *screen
	until   boardtext.Matcher
	ending  <-chan time.Time // the text was seen; its line may still end
	command bool             // Ctrl-T was pressed
}

// Run shows what comes from port until the user leaves, Until comes true or For
// is over (nil), For is over before Until came true (ErrNotSeen), ctx ends (its
// error), or the port is lost (a *flash.Error). The port stays open, unless its
// Read cannot be ended otherwise.
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
		_, closeErr := l.Close()
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

func (m *monitor) loop(ctx context.Context, keys <-chan []byte, over <-chan time.Time) error {
	for {
		var err error
		select {
		case b, ok := <-m.line.Chunks():
			if !ok {
				return lost(m.line.Err())
			}
			err = m.receive(b)
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

// receive shows what came from the board.
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
		Hint: "check the cable; a board that restarts over its own USB port comes back under the same name"}
}
