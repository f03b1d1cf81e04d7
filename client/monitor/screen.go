package monitor

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/farforge/farforge/common/flash/boardtext"
)

// maxLine bounds a line that is held until it is complete. A longer one is cut.
const maxLine = 16 << 10

// screen writes pieces to the terminal, or lines to a function, and to the log. It
// tracks the beginning of lines and the color. The first error of out is in err; the log
// goes on after it.
type screen struct {
	out        io.Writer
	eol        string
	lineTo     func(string) // takes complete lines without colors in place of out
	filter     func(string) bool
	timestamps bool
	paused     bool
	lines      int // complete lines that were shown
	err        error

	in      boardtext.Sanitizer
	buf     bytes.Buffer // for out, since the last flush; for lineTo, the line so far
	log     *logFile
	midLine bool // out has a line that is not ended
	colored bool
	held    bytes.Buffer // with a filter: the line so far, with colors
	plain   bytes.Buffer // with a filter: the line so far, without
	missed  int          // lines that arrived while paused
}

func newScreen(o Options) *screen {
	s := &screen{out: o.Out, eol: "\n", lineTo: o.LineTo, filter: o.Filter, timestamps: o.Timestamps}
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
		s.color(p.Text)
	case boardtext.Text:
		if s.filter == nil {
			s.print(p.Text, p.Text)
		} else {
			s.held.WriteString(p.Text)
			s.plain.WriteString(p.Text)
		}
		if s.plain.Len() >= maxLine || s.lineTo != nil && s.buf.Len() >= maxLine {
			return s.endLine()
		}
	}
	return false
}

func (s *screen) color(sequence string) {
	s.colored = sequence != "\x1b[0m" && sequence != "\x1b[m"
	switch {
	case s.filter != nil && s.held.Len() < 2*maxLine:
		s.held.WriteString(sequence)
	case s.filter == nil && s.lineTo == nil && !s.paused:
		s.buf.WriteString(sequence)
	}
}

// print shows a piece of a line, after the time if it is the first. The log and lineTo
// get it without colors.
func (s *screen) print(shown, plain string) {
	if !s.midLine && s.timestamps {
		stamp := time.Now().Format("15:04:05.000 ")
		shown, plain = stamp+shown, stamp+plain
	}
	s.midLine = true
	s.log.write(plain)
	switch {
	case s.paused:
	case s.lineTo != nil:
		s.buf.WriteString(plain)
	default:
		s.buf.WriteString(shown)
	}
}

func (s *screen) endLine() bool {
	if s.filter != nil {
		held, plain := s.held.String(), s.plain.String()
		s.held.Reset()
		s.plain.Reset()
		if !s.filter(plain) {
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
	s.newline()
	s.lines++
	return true
}

// newline ends the line on out.
func (s *screen) newline() {
	if s.lineTo == nil {
		s.buf.WriteString(s.eol)
		return
	}
	s.lineTo(s.buf.String())
	s.buf.Reset()
}

// flush hands everything so far to the terminal, with one write.
func (s *screen) flush() {
	if s.buf.Len() == 0 || s.lineTo != nil {
		return
	}
	if _, err := s.out.Write(s.buf.Bytes()); err != nil && s.err == nil {
		s.err = fmt.Errorf("showing the board's output: %w", err)
	}
	s.buf.Reset()
}

// say shows a message of the monitor itself, on a line of its own.
func (s *screen) say(format string, args ...any) {
	if s.colored && s.lineTo == nil {
		s.buf.WriteString("\x1b[0m")
		s.colored = false
	}
	if s.midLine {
		s.newline()
		s.midLine = false
	}
	for line := range strings.SplitSeq("--- "+fmt.Sprintf(format, args...), "\n") {
		s.buf.WriteString(line)
		s.newline()
	}
	s.flush()
}

// end shows the text that was held back, and ends line and color.
func (s *screen) end() {
	s.in.End(func(p boardtext.Piece) { s.show(p) })
	if rest := s.held.String(); s.filter != nil && rest != "" && s.filter(s.plain.String()) {
		s.print(rest, s.plain.String())
	}
	if s.colored && s.lineTo == nil {
		s.buf.WriteString("\x1b[0m")
	}
	if s.midLine && !s.paused {
		s.newline()
	}
	s.flush()
	if err := s.log.close(); err != nil && s.err == nil {
		s.err = err
	}
}
