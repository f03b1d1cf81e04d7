package sandbox

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// output turns two byte streams into lines for one receiver.
type output struct {
	emit      func(Line)
	lineBytes int

	mu   sync.Mutex // held while emit runs: one call at a time
	left int64      // bytes that may still be passed on
	cap  int64
	full bool   // the closing line was sent
	last string // the last line on stderr, to explain a failed start
}

func newOutput(l Limits, emit func(Line)) *output {
	if emit == nil {
		emit = func(Line) {}
	}
	if l.OutputBytes <= 0 {
		l.OutputBytes = DefaultOutputBytes
	}
	if l.LineBytes <= 0 {
		l.LineBytes = DefaultLineBytes
	}
	return &output{emit: emit, lineBytes: max(l.LineBytes, utf8.UTFMax), left: l.OutputBytes, cap: l.OutputBytes}
}

// pump reads r to its end. It never stops early, because a command that cannot
// write would block for ever.
func (o *output) pump(stream string, r io.Reader) {
	buf := make([]byte, 32<<10)
	var line []byte
	afterCR := false
	for {
		n, err := r.Read(buf)
		for data := buf[:n]; len(data) > 0; {
			if afterCR && data[0] == '\n' { // "\r\n" is one end of line
				data = data[1:]
			}
			afterCR = false
			end := bytes.IndexAny(data, "\r\n")
			if end < 0 {
				line = append(line, data...)
				line = o.breakLong(stream, line)
				break
			}
			line = o.breakLong(stream, append(line, data[:end]...))
			o.line(stream, line)
			line = line[:0]
			// A lone "\r" is how progress is drawn over itself: a line each.
			afterCR = data[end] == '\r'
			data = data[end+1:]
		}
		if err != nil {
			if len(line) > 0 {
				o.line(stream, line)
			}
			return
		}
	}
}

// breakLong sends off full pieces of a line that is too long, never in the
// middle of a character, and returns the rest.
func (o *output) breakLong(stream string, line []byte) []byte {
	rest := line
	for len(rest) > o.lineBytes {
		cut := o.lineBytes
		// A character begins at most three bytes before any of its bytes. What
		// has no beginning there is no text, and is cut anywhere but at 0.
		for cut > o.lineBytes-utf8.UTFMax+1 && !utf8.RuneStart(rest[cut]) {
			cut--
		}
		o.line(stream, rest[:cut])
		rest = rest[cut:]
	}
	return append(line[:0], rest...)
}

func (o *output) line(stream string, text []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	safe := strings.ToValidUTF8(string(text), string(utf8.RuneError))
	if stream == Stderr {
		o.last = safe
	}
	if o.full {
		return
	}
	if cost := int64(len(text)) + 1; cost <= o.left {
		o.left -= cost
		o.emit(Line{Stream: stream, Text: safe})
		return
	}
	o.full = true
	o.emit(Line{Stream: Stderr, Text: fmt.Sprintf("output after %d bytes is not shown", o.cap)})
}

// lastStderr returns the last line on stderr.
func (o *output) lastStderr() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last
}
