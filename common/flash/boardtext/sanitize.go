// Package boardtext decodes what a board prints into text that a terminal, a log
// or a program can take, and finds a text in it.
//
// A board may print anything, and a terminal acts on much of it. Only text, newline, tab,
// carriage return and color sequences pass. Every other control character, and every byte
// that is not UTF-8, becomes an escape such as \x07.
package boardtext

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// Piece is a part of the output that is safe for a terminal.
type Piece struct {
	Kind Kind
	Text string // empty for a Line
}

// Kind is the kind of a Piece.
type Kind int

// The kinds of pieces.

const (
	Text  Kind = iota // printable characters, or the escape of one that is not
	Color             // a complete color sequence
	Line              // the end of a line
)

// Sanitizer turns a board's bytes into pieces. It holds back an incomplete
// character or color sequence, and a carriage return. The zero value is ready.
type Sanitizer struct {
	held []byte
}

// maxSGR bounds a color sequence; the longest in use is about twenty bytes.
const maxSGR = 32

// Add takes one byte and calls emit for each piece that it completes.
func (s *Sanitizer) Add(b byte, emit func(Piece)) {
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

// End emits the bytes that were held back.
func (s *Sanitizer) End(emit func(Piece)) {
	for _, b := range s.held {
		if b == '\r' {
			emit(Piece{Text, "\r"})
		} else if b >= ' ' && b < 0x7F {
			emit(Piece{Text, string(rune(b))})
		} else {
			emit(Piece{Text, escape(b)})
		}
	}
	s.held = nil
}

func escape(b byte) string { return fmt.Sprintf(`\x%02x`, b) }

// next takes the first piece from b, which is not empty. It reports false when b
// is the beginning of a longer piece.
func next(b []byte) (n int, p Piece, complete bool) {
	switch c := b[0]; {
	case c == '\n':
		return 1, Piece{Kind: Line}, true
	case c == '\r':
		switch {
		case len(b) == 1:
			return 0, p, false
		case b[1] == '\n':
			return 2, Piece{Kind: Line}, true
		}
		return 1, Piece{Text, "\r"}, true
	case c == '\t':
		return 1, Piece{Text, "\t"}, true
	case c == 0x1B:
		return nextSequence(b)
	case c < ' ' || c == 0x7F:
		return 1, Piece{Text, escape(c)}, true
	}
	if !utf8.FullRune(b) {
		return 0, p, false
	}
	r, size := utf8.DecodeRune(b)
	switch {
	case r == utf8.RuneError && size == 1:
		return 1, Piece{Text, escape(b[0])}, true
	case !unicode.IsPrint(r):
		// Some terminals act on C1 controls; other characters reverse or hide text.
		return size, Piece{Text, fmt.Sprintf(`\u%04x`, r)}, true
	}
	return size, Piece{Text, string(b[:size])}, true
}

// nextSequence takes a color sequence (ESC [ numbers m), or a lone ESC.
func nextSequence(b []byte) (n int, p Piece, complete bool) {
	esc := Piece{Text, escape(0x1B)}
	if len(b) == 1 {
		return 0, p, false
	}
	if b[1] != '[' {
		return 1, esc, true
	}
	for i, c := range b[2:] {
		switch {
		case c == 'm':
			return i + 3, Piece{Color, string(b[:i+3])}, true
		case (c < '0' || c > '9') && c != ';' && c != ':' || i == maxSGR:
			return 1, esc, true
		}
	}
	return 0, p, false
}
