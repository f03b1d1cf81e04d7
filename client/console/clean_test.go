package console

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/farforge/farforge/common/cli"
)

func TestClean(t *testing.T) {
	for _, tt := range []struct{ in, plain, color string }{
		{"main.c:1:\terror", "main.c:1:\terror", "main.c:1:\terror"},
		{"\x1b[1;31merror\x1b[0m: x", "error: x", "\x1b[1;31merror\x1b[0m: x\x1b[0m"},
		{"\x1b[2Jgone", "gone", "gone"},
		{"\x1b[8mhidden", "hidden", "hidden"},
		{"\x1b[1;08;31mhidden", "hidden", "hidden"},
		{"\x1b[38;5;8mgray", "gray", "\x1b[38;5;8mgray\x1b[0m"},
		{"\x1b[48;2;8;8;8;31mx", "x", "\x1b[48;2;8;8;8;31mx\x1b[0m"},
		{"\x1b[38;5;8;8mhidden", "hidden", "hidden"},
		{"\x1b[31;?mx", "x", "x"},
		{"\x1b]0;title\x07x", "x", "x"},
		{"\x1b]8;;http://x\x1b\\link", "link", "link"},
		{"\x1bPq\x1b", "", ""},
		{"\x1b(Bx", "Bx", "Bx"},
		{"\x1b", "", ""},
		{"\x1b[31", "", ""},
		{"1%\r50%\r100%", "100%", "100%"},
		{"done\r", "done", "done"},
		{"a\x00b\x7fc\u009b31md", "abc31md", "abc31md"},
		{"é \u202eabc", "é abc", "é abc"},
		{"bad \xff", "bad \ufffd", "bad \ufffd"},
	} {
		if got := Clean(tt.in, false); got != tt.plain {
			t.Errorf("%q is %q, want %q", tt.in, got, tt.plain)
		}
		if got := Clean(tt.in, true); got != tt.color {
			t.Errorf("%q in color is %q, want %q", tt.in, got, tt.color)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"\x1b[31mx", "\x1b]0;x\x07", "a\rb", "\u009b", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s, false)
		if strings.ContainsFunc(got, func(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 }) || !utf8.ValidString(got) {
			t.Fatalf("%q is still %q", s, got)
		}
		for rest := Clean(s, true); ; {
			_, after, ok := strings.Cut(rest, "\x1b[")
			if !ok {
				break
			}
			if end := strings.TrimLeft(after, "0123456789;:"); !strings.HasPrefix(end, "m") {
				t.Fatalf("%q in color has a sequence that is not a color: %q", s, rest)
			}
			rest = after
		}
	})
}

// TestErrorsAreCleaned: an error can have text from a broker or an agent.
func TestErrorsAreCleaned(t *testing.T) {
	var stderr bytes.Buffer
	c := New(Options{Stdout: io.Discard, Stderr: &stderr, Getenv: os.Getenv})
	c.Fail(cli.Failf(cli.NoAgent, "no \x1b[2Jagent\nhere").Hint("try \x1b]0;title\x07this"))
	if got, want := stderr.String(), "error: no agent; here\nhint: try this\n"; got != want {
		t.Errorf("the terminal gets %q, want %q", got, want)
	}
}
