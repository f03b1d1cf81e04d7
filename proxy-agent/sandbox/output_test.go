//go:build unix

package sandbox

import (
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

func pumped(l Limits, r io.Reader) []string {
	var got []string
	newOutput(l, func(line Line) { got = append(got, line.Text) }).pump(Stdout, r)
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
		"capped": {"0123\n4567\n89ab\n", Limits{OutputBytes: 10},
			[]string{"0123", "4567", "output after 10 bytes is not shown"}},
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

func TestStreamsAreToldApartAndLive(t *testing.T) {
	both(t, func(t *testing.T, sb Sandbox) {
		r := script(t, sb, "echo out; echo err >&2")
		if r.stdout != "out\n" || r.stderr != "err\n" {
			t.Errorf("stdout %q, stderr %q", r.stdout, r.stderr)
		}
		// The command waits for a file that the receiver of its first line
		// makes: it ends only if lines come while it runs.
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
		r := script(t, sb, "yes | head -n 300000; echo end >&2; exit 4", func(s *Spec) { s.Limits.OutputBytes = 1000 })
		want := "output after 1000 bytes is not shown\n"
		if r.ExitCode != 4 || len(r.stdout) > 1000 || r.stderr != want {
			t.Errorf("exit %d, %d bytes, stderr %q", r.ExitCode, len(r.stdout), r.stderr)
		}
	})
}
