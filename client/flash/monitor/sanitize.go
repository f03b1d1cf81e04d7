package monitor

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// piece is a part of the output that is safe for a terminal.
type piece struct {
	kind pieceKind
	text string
}

type pieceKind int

const (
	text   pieceKind = iota // printable, or an escape that shows what is not
	colour                  // a colour sequence, complete
	line                    // the end of a line
)

// sanitizer turns a board's bytes into pieces. It holds back what is not
// complete: a character, a colour sequence, a carriage return.
type sanitizer struct {
	held []byte
}

// maxSGR bounds a colour sequence; the longest in use is about twenty bytes.
const maxSGR = 32

// add takes one byte and calls emit for each piece that it completes.
func (s *sanitizer) add(b byte, emit func(piece)) {
	s.held = append(s.held, b)
	for len(s.held) > 0 {
		n, p, complete := next(s.held)
		if !complete {
			return
		}
		emit(p)
		s.held = s.held[n:]
	}
}

// end emits what was held back, as what it would be if nothing followed.
func (s *sanitizer) end(emit func(piece)) {
	for _, b := range s.held {
		if b == '\r' {
			emit(piece{text, "\r"})
		} else if b >= ' ' && b < 0x7F {
			emit(piece{text, string(rune(b))})
		} else {
			emit(piece{text, escape(b)})
		}
	}
	s.held = nil
}

func escape(b byte) string { return fmt.Sprintf(`\x%02x`, b) }

// next takes the first piece from b, which is not empty, or reports that more
// is needed to tell.
func next(b []byte) (n int, p piece, complete bool) {
	switch c := b[0]; {
	case c == '\n':
		return 1, piece{kind: line}, true
	case c == '\r':
		switch {
		case len(b) == 1:
			return 0, p, false
		case b[1] == '\n':
			return 2, piece{kind: line}, true
		}
		return 1, piece{text, "\r"}, true
	case c == '\t':
		return 1, piece{text, "\t"}, true
	case c == 0x1B:
		return nextSequence(b)
	case c < ' ' || c == 0x7F:
		return 1, piece{text, escape(c)}, true
	}
	if !utf8.FullRune(b) {
		return 0, p, false
	}
	r, size := utf8.DecodeRune(b)
	switch {
	case r == utf8.RuneError && size == 1:
		return 1, piece{text, escape(b[0])}, true
	case !unicode.IsPrint(r):
		// C1 controls act on some terminals; others turn text around or hide it.
		return size, piece{text, fmt.Sprintf(`\u%04x`, r)}, true
	}
	return size, piece{text, string(b[:size])}, true
}

// nextSequence passes ESC [ numbers m and nothing else.
func nextSequence(b []byte) (n int, p piece, complete bool) {
	esc := piece{text, escape(0x1B)}
	if len(b) == 1 {
		return 0, p, false
	}
	if b[1] != '[' {
		return 1, esc, true
	}
	for i, c := range b[2:] {
		switch {
		case c == 'm':
			return i + 3, piece{colour, string(b[:i+3])}, true
		case (c < '0' || c > '9') && c != ';' && c != ':' || i == maxSGR:
			return 1, esc, true
		}
	}
	return 0, p, false
}
