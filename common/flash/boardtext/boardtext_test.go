package boardtext

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// clean runs bytes through a Sanitizer, in pieces of n.
func clean(b []byte) string {
	var s Sanitizer
	var out strings.Builder
	emit := func(p Piece) {
		if p.Kind == Line {
			out.WriteByte('\n')
		} else {
			out.WriteString(p.Text)
		}
	}
	for _, c := range b {
		s.Add(c, emit)
	}
	s.End(emit)
	return out.String()
}

func TestSanitize(t *testing.T) {
	for in, want := range map[string]string{
		"plain\ttext":                            "plain\ttext",
		"a\r\nb\nc\rd\r":                         "a\nb\nc\rd\r",
		"\r\r\n":                                 "\r\n",
		"Grüße, 世界 🎉":                            "Grüße, 世界 🎉",
		"\x1b[1;31mred\x1b[0m\x1b[m":             "\x1b[1;31mred\x1b[0m\x1b[m",
		"\x1b[38:2::1:2:3mx":                     "\x1b[38:2::1:2:3mx",
		"\x1b[2J\x1b[H":                          `\x1b[2J\x1b[H`,
		"\x1b]0;title\x07":                       `\x1b]0;title\x07`,
		"\x1b[?25l":                              `\x1b[?25l`,
		"\x1b[31\x1b[0m":                         "\\x1b[31\x1b[0m",
		"\x1bc":                                  `\x1bc`,
		"end\x1b[3":                              `end\x1b[3`,
		"bell\x07 back\x08 nul\x00 del\x7f":      `bell\x07 back\x08 nul\x00 del\x7f`,
		"\xff\xfe\xc3(\xe2\x82":                  `\xff\xfe\xc3(\xe2\x82`,
		"c1 \u009b2J":                            `c1 \u009b2J`,
		"bidi \u202egnp":                         `bidi \u202egnp`,
		"\x1b[" + strings.Repeat("1", 100) + "m": `\x1b[` + strings.Repeat("1", 100) + "m",
	} {
		if got := clean([]byte(in)); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

var sgr = regexp.MustCompile(`\x1b\[[0-9;:]*m`)

// FuzzSanitize checks that only text and colors reach the terminal.
func FuzzSanitize(f *testing.F) {
	f.Add([]byte("text\r\n\x1b[0m\x1b[2J\xff\u009b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		out := clean(b)
		if !utf8.ValidString(out) {
			t.Fatalf("%q became invalid UTF-8: %q", b, out)
		}
		for _, r := range sgr.ReplaceAllString(out, "") {
			if !unicode.IsPrint(r) && r != '\n' && r != '\r' && r != '\t' {
				t.Fatalf("%q let %q through", b, r)
			}
		}
	})
}

// FuzzMatcher compares with strings.Index.
func FuzzMatcher(f *testing.F) {
	f.Add("aaab", "aab")
	f.Add("abababac", "ababac")
	f.Fuzz(func(t *testing.T, in, want string) {
		m := NewMatcher(want)
		at := -1
		for i := range len(in) {
			if m.Add(in[i]) {
				at = i + 1 - len(want)
				break
			}
		}
		index := strings.Index(in, want)
		if want == "" {
			index = -1
		}
		if at != index {
			t.Fatalf("%q in %q: %d, want %d", want, in, at, index)
		}
	})
}
