package sandbox

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// pump reads r to its end and cuts it into lines. It never stops early, because
// a command that cannot write would block forever.
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
				line = o.cutLong(stream, append(line, data...))
				break
			}
			line = o.cutLong(stream, append(line, data[:end]...))
			o.text(stream, line)
			line = line[:0]
			// A lone "\r" is how progress is drawn over itself: a line each.
			afterCR = data[end] == '\r'
			data = data[end+1:]
		}
		if err != nil {
			if len(line) > 0 {
				o.text(stream, line)
			}
			return
		}
	}
}

// cutLong passes on full pieces of a line that is too long, and returns the
// rest.
func (o *output) cutLong(stream string, line []byte) []byte {
	rest := line
	for len(rest) > o.lineBytes {
		cut := boundary(rest, o.lineBytes)
		o.text(stream, rest[:cut])
		rest = rest[cut:]
	}
	return append(line[:0], rest...)
}

// text passes on a line as valid UTF-8 with the user's own paths. Replacement
// characters may make it longer than lineBytes.
func (o *output) text(stream string, raw []byte) {
	text := o.paths.replace(strings.ToValidUTF8(string(raw), string(utf8.RuneError)))
	for len(text) > o.lineBytes {
		cut := boundary(text, o.lineBytes)
		o.line(stream, text[:cut])
		text = text[cut:]
	}
	o.line(stream, text)
}

// boundary returns the last place up to limit where a character begins, so that
// none is cut in two. A character begins at most three bytes before any of its
// bytes; bytes without a beginning there are not text and may be cut anywhere.
func boundary[T string | []byte](text T, limit int) int {
	for cut := limit; cut > limit-utf8.UTFMax && cut > 0; cut-- {
		if utf8.RuneStart(text[cut]) {
			return cut
		}
	}
	return limit
}

// localPaths turns paths in the job's directory into paths in the user's
// project, so that editors find the place of a message:
//
//	/workspace/src/main.c:1:24: error ──▶ src/main.c:1:24: error
//
// It changes a path only where one begins: at the start of the line, or after
// anything that cannot be part of a path, such as a space, a quote or the color
// codes of a compiler.
type localPaths struct {
	prefix string
	place  *regexp.Regexp
}

func newLocalPaths(workspace string) *localPaths {
	prefix := workspace + "/"
	return &localPaths{
		prefix: prefix,
		place:  regexp.MustCompile(`(^|[^A-Za-z0-9_./~+%-]|\x1b\[[0-9;]*[A-Za-z])` + regexp.QuoteMeta(prefix)),
	}
}

func (l *localPaths) replace(line string) string {
	if !strings.Contains(line, l.prefix) {
		return line
	}
	return l.place.ReplaceAllString(line, "$1")
}
