// Package screen stands in for a terminal in tests: it keeps the text that a program draws. It
// knows the few control sequences of ECMA-48 that the client writes, and panics on
// others. Lines that scroll away at the top are lost, as they are for a program that
// redraws.
package screen

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Screen is safe for concurrent use.
type Screen struct {
	mu            sync.Mutex
	width, height int
	lines         [][]rune
	row, column   int
	wraps, hidden bool
	rest          []byte
	grown         chan struct{} // closed at the next write
}

// New returns an empty screen.
func New(width, height int) *Screen {
	s := &Screen{wraps: true, grown: make(chan struct{})}
	s.Resize(width, height)
	return s
}

// Resize changes the size. Lines stay where they are and are cut, as in xterm.
func (s *Screen) Resize(width, height int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.width, s.height = width, height
	for len(s.lines) < height {
		s.lines = append(s.lines, nil)
	}
	s.lines = s.lines[len(s.lines)-height:]
	s.row = min(s.row, height-1)
	for i, line := range s.lines {
		s.lines[i] = line[:min(len(line), width)]
	}
}

// String returns the visible text, without blank lines at the end.
func (s *Screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var text strings.Builder
	for _, line := range s.lines {
		text.WriteString(strings.TrimRight(string(line), " ") + "\n")
	}
	return strings.TrimRight(text.String(), "\n")
}

// AtRest reports whether the terminal is ready for a shell: the cursor is visible and at
// the start of a line, and long lines wrap.
func (s *Screen) AtRest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.hidden && s.wraps && s.column == 0 && len(s.rest) == 0
}

// Await waits until the visible text is as wanted. It returns false once done is closed.
func (s *Screen) Await(done <-chan struct{}, wanted func(text string) bool) bool {
	for {
		s.mu.Lock()
		grown := s.grown
		s.mu.Unlock()
		if wanted(s.String()) {
			return true
		}
		select {
		case <-grown:
		case <-done:
			return wanted(s.String())
		}
	}
}

// Write implements io.Writer for the program's output.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest = append(s.rest, p...)
	for len(s.rest) > 0 {
		n := s.step()
		if n == 0 {
			break // the rest arrives with the next write
		}
		s.rest = s.rest[n:]
	}
	close(s.grown)
	s.grown = make(chan struct{})
	return len(p), nil
}

// step executes the next item of rest, and returns its length.
func (s *Screen) step() int {
	switch c := s.rest[0]; {
	case c == '\r':
		s.column = 0
	case c == '\n': // a terminal's line discipline adds the carriage return
		s.column = 0
		s.down()
	case c == 0x1b:
		return s.sequence()
	case c < ' ':
		panic(fmt.Sprintf("the screen got the control character %q", c))
	default:
		if !utf8.FullRune(s.rest) {
			return 0
		}
		r, n := utf8.DecodeRune(s.rest)
		s.put(r)
		return n
	}
	return 1
}

func (s *Screen) down() {
	if s.row++; s.row == s.height {
		s.lines = append(s.lines[1:], nil)
		s.row--
	}
}

func (s *Screen) put(r rune) {
	if s.column == s.width {
		if s.wraps {
			s.column = 0
			s.down()
		} else {
			s.column--
		}
	}
	for len(s.lines[s.row]) <= s.column {
		s.lines[s.row] = append(s.lines[s.row], ' ')
	}
	s.lines[s.row][s.column] = r
	s.column++
}

// sequence executes "ESC [ numbers letter".
func (s *Screen) sequence() int {
	end := 2
	for end < len(s.rest) && (s.rest[end] < '@' || s.rest[end] > '~') {
		end++
	}
	if end >= len(s.rest) {
		return 0
	}
	arguments, letter := string(s.rest[2:end]), s.rest[end]
	switch sequence := arguments + string(letter); {
	case s.rest[1] != '[':
		panic(fmt.Sprintf("the screen got the sequence %q", s.rest[:end+1]))
	case letter == 'm': // colors are ignored
	case letter == 'A':
		n, err := strconv.Atoi(arguments)
		if err != nil {
			panic(err)
		}
		s.row = max(s.row-n, 0)
	case sequence == "H":
		s.row, s.column = 0, 0
	case sequence == "K":
		s.lines[s.row] = s.lines[s.row][:min(len(s.lines[s.row]), s.column)]
	case sequence == "J":
		s.lines[s.row] = s.lines[s.row][:min(len(s.lines[s.row]), s.column)]
		for i := s.row + 1; i < s.height; i++ {
			s.lines[i] = nil
		}
	case sequence == "?25l", sequence == "?25h":
		s.hidden = letter == 'l'
	case sequence == "?7l", sequence == "?7h":
		s.wraps = letter == 'h'
	default:
		panic(fmt.Sprintf("the screen got the sequence %q", s.rest[:end+1]))
	}
	return end + 1
}
