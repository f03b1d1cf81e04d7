package console

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"go.uber.org/goleak"

	"github.com/farforge/farforge/client/remote"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/flash"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// job returns the events of a small job.
func job() []remote.Event {
	return []remote.Event{
		remote.Waiting{Position: 3, Estimate: 2 * time.Minute},
		remote.Waiting{Position: 3, Estimate: time.Minute},
		remote.Waiting{Position: 2},
		remote.Connected{Agent: remote.Agent{Name: "bench", Fingerprint: "SHA256:x"}, Relayed: true},
		remote.Stage{Stage: channel.Stage{Name: channel.StageSource}},
		remote.Upload{Done: 1000, Total: 4000},
		remote.Upload{Done: 4000, Total: 4000},
		remote.Stage{Stage: channel.Stage{Name: channel.StageBuild, Target: "esp32c3", Toolchain: "gcc", Version: "12"}},
		remote.Log{Log: channel.Log{Stream: "stdout", Lines: []string{"cc \x1b[31mmain.c\x1b[0m", "a\x1b]0;title\x07b"}}},
		remote.Download{Done: 10, Total: 10},
	}
}

func play(c *Console) {
	for _, e := range job() {
		c.Event(e)
	}
	for _, p := range []flash.Progress{{Phase: flash.Check}, {Phase: flash.Erase}, {Phase: flash.Write, Written: 50}, {Phase: flash.Write, Written: 100}, {Phase: flash.Verify, Written: 100}, {Phase: flash.Done, Written: 100}} {
		p.Region, p.Count, p.Total = "app at 0x0", 1, 100
		c.Flash(p)
	}
	c.Close()
}

// onTerminal returns the bytes that a terminal gets.
func onTerminal(t *testing.T, quiet bool, environment map[string]string) string {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 100}); err != nil {
		t.Fatal(err)
	}
	seen := make(chan string)
	go func() {
		out, err := io.ReadAll(master)
		if err != nil && len(out) == 0 { // EIO is the end of a terminal
			out = []byte(err.Error())
		}
		seen <- string(out)
	}()
	play(New(Options{Stdout: io.Discard, Stderr: tty, Quiet: quiet, Getenv: func(name string) string { return environment[name] }}))
	if err := tty.Close(); err != nil {
		t.Fatal(err)
	}
	return <-seen
}

func TestTerminalGetsBars(t *testing.T) {
	out := onTerminal(t, false, map[string]string{"TERM": "xterm"})
	for _, want := range []string{
		"all able agents are busy; 2nd in line", "connected to bench, through the broker's relay",
		"upload", "[====", "100 %", "4.0 kB of 4.0 kB", "download", "10 bytes of 10 bytes",
		"building for esp32c3 with gcc 12", "cc \x1b[31mmain.c\x1b[0m", "\nab\r\n",
		"app at 0x0", "app at 0x0: 100 bytes written and verified",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not shown", want)
		}
	}
	if t.Failed() {
		t.Logf("the terminal got\n%q", out)
	}
}

func TestTerminalsWithoutColors(t *testing.T) {
	for _, tt := range []struct {
		name        string
		quiet       bool
		environment map[string]string
		with        string
		without     []string
	}{
		{"dumb", false, map[string]string{"TERM": "dumb"}, "cc main.c", []string{"[===", "\x1b"}},
		{"no color", false, map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, "cc main.c", []string{"\x1b[31m"}},
		{"quiet", true, map[string]string{"TERM": "xterm"}, "", []string{"c", "\x1b"}},
	} {
		out := onTerminal(t, tt.quiet, tt.environment)
		if !strings.Contains(out, tt.with) {
			t.Errorf("%s: %q is not shown in %q", tt.name, tt.with, out)
		}
		for _, bad := range tt.without {
			if strings.Contains(out, bad) && !(tt.quiet && strings.Contains(out, "input/output")) {
				t.Errorf("%s: %q is shown in %q", tt.name, bad, out)
			}
		}
	}
}

func TestPipeGetsLines(t *testing.T) {
	var out, err bytes.Buffer
	play(New(Options{Stdout: &out, Stderr: &err, Getenv: os.Getenv}))
	want := `all able agents are busy; 3rd in line, about 2 min
all able agents are busy; 2nd in line
connected to bench, through the broker's relay
building for esp32c3 with gcc 12
cc main.c
ab
app at 0x0: 100 bytes written and verified
`
	if err.String() != want || out.Len() > 0 {
		t.Errorf("stderr got\n%s\nwant\n%s\nstdout got %q", err.String(), want, out.String())
	}
}

func TestSlowTransferIsWorthALine(t *testing.T) {
	var err bytes.Buffer
	c := New(Options{Stdout: io.Discard, Stderr: &err, Getenv: os.Getenv})
	c.Event(remote.Upload{Done: 1, Total: 2_500_000})
	c.since["upload"] = time.Now().Add(-3 * time.Second)
	c.Event(remote.Upload{Done: 2_500_000, Total: 2_500_000})
	if got := err.String(); got != "uploaded 2.5 MB in 3.0 s\n" {
		t.Errorf("got %q", got)
	}
}

func TestFail(t *testing.T) {
	var out, err bytes.Buffer
	c := New(Options{Stdout: &out, Stderr: &err, JSON: true, Getenv: os.Getenv})
	c.Fail(errors.Join(cli.Failf(cli.Serial, "no\nboard").Hint("plug it in")))
	if got, want := out.String(), `{"event":"error","error":"no\nboard","hints":["plug it in"],"code":"serial","exit":6}`+"\n"; got != want {
		t.Errorf("stdout got  %s\nwant %s", got, want)
	}
	if got, want := err.String(), "error: no; board\nhint: plug it in\n"; got != want {
		t.Errorf("stderr got  %q\nwant %q", got, want)
	}
}

func TestAmounts(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 1: "1 byte", 999: "999 bytes", 1000: "1.0 kB", 2_500_000: "2.5 MB", 3e9: "3.0 GB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	for ms, want := range map[int64]string{0: "0 ms", 999: "999 ms", 1500: "1.5 s", 61_000: "1 min 1 s"} {
		if got := Millis(ms); got != want {
			t.Errorf("%d ms is %q, want %q", ms, got, want)
		}
	}
}
