package monitor

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/farforge/farforge/common/flash/boardtext"
)

// screen writes pieces to the terminal and to the log. It knows whether it
// stands at the beginning of a line and whether a color is on. Errors stay in
// err; writing goes on for the log's sake.
type screen struct {
	out        io.Writer
	eol        string
	filter     func(string) bool
	timestamps bool
	paused     bool
	lines      int // complete lines that were shown
	err        error

	in      boardtext.Sanitizer
	buf     bytes.Buffer // for out, since the last flush
	log     *logFile
	midLine bool // out has a line that is not ended
	colored bool
	held    bytes.Buffer // with a filter: the line so far, with colors
	plain   bytes.Buffer // the line so far, without
	missed  int          // lines that came while paused
}

func newScreen(o Options) *screen {
	s := &screen{out: o.Out, eol: "\n", filter: o.Filter, timestamps: o.Timestamps}
	if o.RawTerminal {
		s.eol = "\r\n"
	}
	return s
}

// add takes a byte from the board and reports whether it ended a line that is
// shown.
func (s *screen) add(b byte) (newline bool) {
	s.in.Add(b, func(p boardtext.Piece) {
		if s.show(p) {
			newline = true
		}
	})
	return newline
}

func (s *screen) show(p boardtext.Piece) (newline bool) {
	switch p.Kind {
	case boardtext.Line:
		return s.endLine()
	case boardtext.Color:
		s.colored = p.Text != "\x1b[0m" && p.Text != "\x1b[m"
		if s.filter != nil {
			s.held.WriteString(p.Text)
		} else if !s.paused {
			s.buf.WriteString(p.Text)
		}
	case boardtext.Text:
		if s.filter != nil {
			s.held.WriteString(p.Text)
			s.plain.WriteString(p.Text)
		} else {
			s.print(p.Text, p.Text)
		}
	}
	return false
}

// print shows a piece of a line, after the time if it is the first. The log
// gets it without colors.
func (s *screen) print(shown, plain string) {
	if !s.midLine && s.timestamps {
		stamp := time.Now().Format("15:04:05.000 ")
		shown, plain = stamp+shown, stamp+plain
	}
	s.midLine = true
	s.log.write(plain)
	if !s.paused {
		s.buf.WriteString(shown)
	}
}

func (s *screen) endLine() bool {
	if s.filter != nil {
		keep := s.filter(s.plain.String())
		held, plain := s.held.String(), s.plain.String()
		s.held.Reset()
		s.plain.Reset()
		if !keep {
			return false
		}
		s.print(held, plain)
	} else if !s.midLine {
		s.print("", "") // an empty line has a time too
	}
	s.log.write("\n")
	s.midLine = false
	if s.paused {
		s.missed++
		return false
	}
	s.buf.WriteString(s.eol)
	s.lines++
	return true
}

// flush hands everything so far to the terminal, with one write.
func (s *screen) flush() {
	if s.buf.Len() == 0 {
		return
	}
	if _, err := s.out.Write(s.buf.Bytes()); err != nil && s.err == nil {
		s.err = fmt.Errorf("showing what the board prints: %w", err)
	}
	s.buf.Reset()
}

// say shows a message of the monitor itself, on a line of its own.
func (s *screen) say(format string, args ...any) {
	if s.colored {
		s.buf.WriteString("\x1b[0m")
		s.colored = false
	}
	if s.midLine {
		s.buf.WriteString(s.eol)
		s.midLine = false
	}
	msg := "--- " + fmt.Sprintf(format, args...) + "\n"
	s.buf.WriteString(strings.ReplaceAll(msg, "\n", s.eol))
	s.flush()
}

// end shows what was held back and leaves the terminal in order.
func (s *screen) end() {
	s.in.End(func(p boardtext.Piece) { s.show(p) })
	if rest := s.held.String(); s.filter != nil && rest != "" && s.filter(s.plain.String()) {
		s.print(rest, s.plain.String())
	}
	if s.colored {
		s.buf.WriteString("\x1b[0m")
	}
	if s.midLine && !s.paused {
		s.buf.WriteString(s.eol)
	}
	s.flush()
	if err := s.log.close(); err != nil && s.err == nil {
		s.err = err
	}
}
