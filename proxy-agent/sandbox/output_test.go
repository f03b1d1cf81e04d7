//go:build unix

package sandbox

import (
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

func pumped(l Limits, r io.Reader) []string {
	var got []string
	o := newOutput(l, Workspace, func(line Line) { got = append(got, line.Text) })
	o.pump(Stdout, r)
	o.finish()
	return got
}

func TestLines(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		l    Limits
		want []string
	}{
		"plain":               {"a\nb\n", Limits{}, []string{"a", "b"}},
		"no newline at end":   {"a\nb", Limits{}, []string{"a", "b"}},
		"empty lines":         {"\n\na\n", Limits{}, []string{"", "", "a"}},
		"nothing":             {"", Limits{}, nil},
		"windows":             {"a\r\n\r\nb\r\n", Limits{}, []string{"a", "", "b"}},
		"progress":            {"1%\r2%\r100%\n", Limits{}, []string{"1%", "2%", "100%"}},
		"invalid UTF-8":       {"a\xffb\xc3\n", Limits{}, []string{"a\uFFFDb\uFFFD"}},
		"long":                {"abcdefghij\nk\n", Limits{LineBytes: 4}, []string{"abcd", "efgh", "ij", "k"}},
		"long, between runes": {"aäöü€\n", Limits{LineBytes: 4}, []string{"aä", "öü", "€"}},
		"invalid UTF-8, long": {"\xffa\xffa\n", Limits{LineBytes: 4}, []string{"\uFFFDa", "\uFFFDa"}},
		"capped": {"0123\n4567\n89ab\ncdef\n", Limits{OutputBytes: 20},
			[]string{"0123", "4567", "89ab", "cdef"}},
		"capped, tail kept": {"0123\n4567\n89ab\ncdef\nghij\nend\n", Limits{OutputBytes: 20},
			[]string{"0123", "4567", "89ab", "farforge: the output is long; its last lines follow at the end", "farforge: 2 lines (10 bytes) are left out here", "end"}},
		"path of the project": {"/workspace/src/main.c:1:24: error: 'x'\n", Limits{}, []string{"src/main.c:1:24: error: 'x'"}},
		"paths in the middle": {"In file included from /workspace/a.h:3,\nat \"/workspace/b\" (/workspace/c)\n  --> /workspace/d.rs:1\n", Limits{},
			[]string{"In file included from a.h:3,", "at \"b\" (c)", "  --> d.rs:1"}},
		"paths in color": {"\x1b[01m\x1b[K/workspace/main.c:1:\x1b[m\x1b[K error\n", Limits{}, []string{"\x1b[01m\x1b[Kmain.c:1:\x1b[m\x1b[K error"}},
		"other paths":    {"/home/workspace/a /opt/workspace/b file:///workspace/c -I/workspace/d /workspaces/e\n", Limits{}, []string{"/home/workspace/a /opt/workspace/b file:///workspace/c -I/workspace/d /workspaces/e"}},
	} {
		for how, r := range map[string]io.Reader{
			"at once": strings.NewReader(c.in), "byte by byte": iotest.OneByteReader(strings.NewReader(c.in)),
		} {
			if got := pumped(c.l, r); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s, %s: got %q, want %q", name, how, got, c.want)
			}
		}
	}
}

func FuzzOutput(f *testing.F) {
	f.Add([]byte("a\r\nb\rc\n\xff"), 5)
	f.Add([]byte(strings.Repeat("\xaa", 17)), 4)
	f.Add([]byte("\xaa\x00\x10\xaa\xaa\xaa\xaa\xaa\xaa"), 4)
	f.Fuzz(func(t *testing.T, data []byte, lineBytes int) {
		for _, line := range pumped(Limits{LineBytes: lineBytes}, strings.NewReader(string(data))) {
			if !utf8.ValidString(line) || strings.ContainsAny(line, "\r\n") {
				t.Errorf("line %q", line)
			}
		}
	})
}

func TestStreamsAreSeparateAndLive(t *testing.T) {
	both(t, func(t *testing.T, sb Sandbox) {
		r := script(t, sb, "echo out; echo err >&2")
		if r.stdout != "out\n" || r.stderr != "err\n" {
			t.Errorf("stdout %q, stderr %q", r.stdout, r.stderr)
		}
		// The command waits for a file that the receiver of its first line makes,
		// so it ends only if lines arrive while it runs.
		dir := t.TempDir()
		r, err := tryScript(t.Context(), t, sb, "echo first; until [ -e go ]; do sleep 0.01; done", func(s *Spec) {
			s.Dir = dir
			s.Output = func(Line) { writeFile(t, dir+"/go") }
		})
		if err != nil || r.ExitCode != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestFloodOfOutputIsCappedAndDrained(t *testing.T) {
	both(t, func(t *testing.T, sb Sandbox) {
		const limit = 1 << 20
		r := script(t, sb, `yes "$(printf %0999d 0)" | head -n 3000; echo end >&2; exit 4`, func(s *Spec) { s.Limits.OutputBytes = limit })
		if r.ExitCode != 4 || len(r.stdout) > limit || !strings.Contains(r.stderr, "left out here\n") || !strings.HasSuffix(r.stdout, "0\n") ||
			!slices.ContainsFunc(r.lines[len(r.lines)/2:], func(l Line) bool { return l == Line{Stderr, "end"} }) {
			t.Errorf("exit %d, %d bytes, stderr %q", r.ExitCode, len(r.stdout), r.stderr)
		}
	})
}

// TestErrorAfterManyWarningsIsKept writes 20 MB of warnings and then the error
// that ends the build.
func TestErrorAfterManyWarningsIsKept(t *testing.T) {
	const text = "src/main.c:12:3: warning: unused variable"
	got := pumped(Limits{}, io.MultiReader(strings.NewReader(strings.Repeat(text+"\n", 500_000)), strings.NewReader("main.c:1: error: the one\n")))
	total := 0
	for _, line := range got {
		total += len(line) + 1
	}
	if got[0] != text || got[len(got)-1] != "main.c:1: error: the one" || total > DefaultOutputBytes+1000 || total < DefaultOutputBytes-1000 {
		t.Errorf("%d lines, %d bytes, from %q to %q", len(got), total, got[0], got[len(got)-1])
	}
}

func TestMessagesNameTheUsersPaths(t *testing.T) {
	both(t, func(t *testing.T, sb Sandbox) {
		r := script(t, sb, `echo "$PWD/src/main.c:1:24: error" >&2`)
		if r.stderr != "src/main.c:1:24: error\n" {
			t.Errorf("stderr %q", r.stderr)
		}
	})
}
