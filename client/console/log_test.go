package console

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/farforge/farforge/client/buildlog"
	"github.com/farforge/farforge/common/cli"
)

func logged(t *testing.T, lines ...string) *buildlog.Log {
	t.Helper()
	state, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { state.Close() })
	l, err := buildlog.Create(state)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	l.Add(lines)
	return l
}

func TestBuildLog(t *testing.T) {
	log := logged(t, "cc src/a.c", "src/a.c:1:2: warning: w", "src/a.c:3: error: e", "make: *** Error 1")
	const list = "errors and warnings (p/build.log):\nsrc/a.c:3: error: e\nsrc/a.c:1:2: warning: w\n"
	for _, tt := range []struct {
		name           string
		o              Options
		failed         bool
		stdout, stderr string
	}{
		{"failed", Options{}, true, "", list},
		{"succeeded", Options{}, false, "", list},
		{"quiet and failed", Options{Quiet: true}, true, "", "cc src/a.c\nsrc/a.c:1:2: warning: w\nsrc/a.c:3: error: e\nmake: *** Error 1\n"},
		{"quiet and succeeded", Options{Quiet: true}, false, "", ""},
		{"JSON", Options{JSON: true}, true, `{"event":"finding","severity":"error","file":"src/a.c","line":3,"message":"e"}` + "\n" +
			`{"event":"finding","severity":"warning","file":"src/a.c","line":1,"column":2,"message":"w"}` + "\n", ""},
	} {
		var stdout, stderr bytes.Buffer
		tt.o.Stdout, tt.o.Stderr, tt.o.Getenv = &stdout, &stderr, os.Getenv
		New(tt.o).BuildLog(log, "p/build.log", tt.failed)
		if stdout.String() != tt.stdout || stderr.String() != tt.stderr {
			t.Errorf("%s: standard output\n%s\nstandard error\n%s", tt.name, stdout.String(), stderr.String())
		}
	}
	var stderr bytes.Buffer
	New(Options{Stdout: io.Discard, Stderr: &stderr, Getenv: os.Getenv}).BuildLog(logged(t, "all is well"), "p", false)
	if stderr.Len() > 0 {
		t.Errorf("of a clean build: %s", stderr.String())
	}
}

func TestFailedBuild(t *testing.T) {
	build := cli.Failf(cli.BuildFailed, "the build failed").Hint("see above").WithCode("build_failed")
	for _, tt := range []struct {
		line  string
		err   error
		hints int
		says  string
	}{
		{"cc", build, 2, "the whole log is in p/build.log"},
		{"curl: (6) Could not resolve host: github.com", build, 3, "no network in the sandbox"},
		{"curl: (6) Could not resolve host: github.com", cli.Failf(cli.LostAgent, "lost"), 0, ""},
	} {
		err := FailedBuild(tt.err, logged(t, tt.line), "p/build.log")
		if hints := cli.Hints(err); len(hints) != tt.hints || !strings.Contains(strings.Join(hints, "\n"), tt.says) || !errors.Is(err, tt.err) || cli.Code(err) != cli.Code(tt.err) {
			t.Errorf("%s: %v, %q", tt.line, err, hints)
		}
	}
}

// TestErrorsInColor: the heads of the lines have colors on a terminal, but not with
// NO_COLOR or on a pipe.
func TestErrorsInColor(t *testing.T) {
	for value, want := range map[string]string{"": "\x1b[1;31merror:\x1b[0m no\r\n\x1b[36mhint:\x1b[0m do\r\n", "1": "error: no\r\nhint: do\r\n"} {
		master, tty, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		c := New(Options{Stdout: io.Discard, Stderr: tty, Getenv: func(name string) string {
			return map[string]string{"TERM": "xterm", "NO_COLOR": value}[name]
		}})
		c.Fail(cli.Failf(cli.Usage, "no").Hint("do"))
		got := make([]byte, len(want))
		if _, err := io.ReadFull(master, got); err != nil || string(got) != want {
			t.Errorf("NO_COLOR=%q: %q, %v; want %q", value, got, err, want)
		}
		tty.Close()
		master.Close()
	}
}
