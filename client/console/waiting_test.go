package console

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/farforge/farforge/client/internal/screen"
	"github.com/farforge/farforge/client/remote"
)

// TestPlaceIsRedrawn: on a terminal the line changes in place.
func TestPlaceIsRedrawn(t *testing.T) {
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 100}); err != nil {
		t.Fatal(err)
	}
	s := screen.New(100, 24)
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(s, master) // EIO is the end of a terminal
	}()
	limit, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c := New(Options{Stdout: io.Discard, Stderr: tty, Getenv: func(string) string { return "xterm" }})
	shows := func(want string) {
		t.Helper()
		if !s.Await(limit.Done(), func(text string) bool { return text == want }) {
			t.Errorf("the terminal shows\n%s\nwant\n%s", s, want)
		}
	}
	c.Event(remote.Waiting{Position: 3, Estimate: 2 * time.Minute})
	shows("all able agents are busy; 3rd in line, about 2 min")
	c.Event(remote.Waiting{Position: 3, Estimate: 20 * time.Second})
	shows("all able agents are busy; 3rd in line, less than a minute")
	c.Say("a line in between")
	shows("a line in between\nall able agents are busy; 3rd in line, less than a minute")
	c.Event(remote.Waiting{})
	shows("a line in between\nall able agents are busy; waiting")
	c.Event(remote.Connected{Agent: remote.Agent{Name: "bench"}})
	shows("a line in between\nall able agents are busy; waiting\nconnected to bench, directly")
	c.Close()
	if err := tty.Close(); err != nil {
		t.Fatal(err)
	}
	<-copied
	if !s.AtRest() {
		t.Error("the terminal is not ready for a shell")
	}
}

// TestPlaceIsWrittenOnce: a pipe gets a line for each place, not for each wait.
func TestPlaceIsWrittenOnce(t *testing.T) {
	var err strings.Builder
	c := New(Options{Stdout: io.Discard, Stderr: &err, Getenv: os.Getenv})
	for _, w := range []remote.Waiting{{}, {}, {Position: 2, Estimate: time.Minute}, {Position: 2, Estimate: time.Second}, {Position: 1}, {Position: 1, Estimate: time.Second}, {}} {
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
