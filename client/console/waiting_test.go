package console

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/farforge/farforge/client/session"
)

// TestPlaceIsDrawnAnew: on a terminal the line changes where it is.
func TestPlaceIsDrawnAnew(t *testing.T) {
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 100}); err != nil {
		t.Fatal(err)
	}
	chunks := make(chan string, 1000)
	go func() {
		defer close(chunks)
		for buf := make([]byte, 4096); ; {
			n, err := master.Read(buf)
			if err != nil {
				return
			}
			chunks <- string(buf[:n])
		}
	}()
	seen := ""
	until := func(text string) {
		t.Helper()
		for limit := time.After(10 * time.Second); !strings.Contains(seen, text); {
			select {
			case chunk := <-chunks:
				seen += chunk
			case <-limit:
				t.Fatalf("%q is not shown in %q", text, seen)
			}
		}
	}
	c := New(Options{Stdout: io.Discard, Stderr: tty, Getenv: func(string) string { return "xterm" }})
	defer c.Close()
	c.Event(session.Waiting{Position: 3, Estimate: 2 * time.Minute})
	until("3rd in line, about 2 min")
	c.Event(session.Waiting{Position: 3, Estimate: 20 * time.Second})
	until("3rd in line, less than a minute")
	c.Say("a word in between")
	until("a word in between")
	c.Event(session.Waiting{})
	until("busy; waiting")
	c.Event(session.Connected{Agent: session.Agent{Name: "bench"}})
	until("connected to bench, directly")
	if err := tty.Close(); err != nil {
		t.Fatal(err)
	}
	for chunk := range chunks {
		seen += chunk
	}
	if got := onScreen(seen); got != "a word in between\nall able agents are busy; waiting\nconnected to bench, directly\n" {
		t.Errorf("in the end the terminal shows\n%s\nof %q", got, seen)
	}
}

// onScreen is what a terminal shows that has got nothing but lines and the
// sequences that mpb draws with: one line up, and erase to the end.
func onScreen(text string) string {
	var lines []string
	at := 0
	for rest := text; rest != ""; {
		switch {
		case strings.HasPrefix(rest, "\x1b[1A"):
			at, rest = max(at-1, 0), rest[4:]
		case strings.HasPrefix(rest, "\x1b[J"):
			lines, rest = lines[:min(at, len(lines))], rest[3:]
		default:
			line, after, _ := strings.Cut(rest, "\n")
			lines = append(lines[:min(at, len(lines))], strings.TrimRight(line, "\r "))
			at, rest = at+1, after
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// TestPlaceIsSaidOnce: a pipe gets a line for each place, not for each wait.
func TestPlaceIsSaidOnce(t *testing.T) {
	var err strings.Builder
	c := New(Options{Stdout: io.Discard, Stderr: &err, Getenv: os.Getenv})
	for _, w := range []session.Waiting{{}, {}, {Position: 2, Estimate: time.Minute}, {Position: 2, Estimate: time.Second}, {Position: 1}, {Position: 1, Estimate: time.Second}, {}} {
		c.Event(w)
	}
	want := `all able agents are busy; waiting
all able agents are busy; 2nd in line, about 1 min
all able agents are busy; 1st in line
all able agents are busy; waiting
`
	if err.String() != want {
		t.Errorf("got\n%swant\n%s", err.String(), want)
	}
}
