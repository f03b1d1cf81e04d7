//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/farforge/farforge/client/internal/fakefarm"
	"github.com/farforge/farforge/client/internal/screen"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
)

func sets(b *fakefarm.Broker, farm []api.AgentInfo, problem *api.Problem) {
	b.Set(func(s *fakefarm.Settings) { s.Farm, s.Problem = farm, problem })
}

// lines reads what a process writes, line by line.
func lines(t *testing.T, out **os.File) func(want ...string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	*out = w
	t.Cleanup(func() { r.Close() })
	s := bufio.NewScanner(r)
	return func(want ...string) {
		t.Helper()
		for _, text := range want {
			if !s.Scan() || s.Text() != text {
				t.Fatalf("got %q, %v; want %q", s.Text(), s.Err(), text)
			}
		}
	}
}

// started runs the client with both outputs read line by line.
func started(t *testing.T, b *fakefarm.Broker, args ...string) (p *process, stdout, stderr func(...string)) {
	t.Helper()
	p = newProcess(t, b, args...)
	var out, errs *os.File
	stdout, stderr = lines(t, &out), lines(t, &errs)
	p.Stdout, p.Stderr = out, errs
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := errs.Close(); err != nil {
		t.Fatal(err)
	}
	return p, stdout, stderr
}

const head, idle = "NAME  STATE  CORES  MEMORY   JOBS  BUILDS FOR  TAGS", "     idle   8/8    16G/16G  0     -           -"

func TestWatchOnAPipe(t *testing.T) {
	t.Parallel()
	b := fakefarm.New(t, nil)
	sets(b, farmOf("a"), nil)
	p, stdout, stderr := started(t, b, "agents", "--watch", "--interval", "1s")
	stdout(head, "a"+idle)
	sets(b, farmOf("a", "b", "c", "d"), nil) // more than a page
	stdout("", head, "a"+idle, "b"+idle, "c"+idle, "d"+idle)

	// The broker stops, and starts again with other agents.
	sets(b, nil, &api.Problem{Status: 503, Code: api.CodeDraining, Detail: "it is shutting down\x1b[2J"})
	stderr("the broker refuses: it is shutting down (503 draining); retrying")
	sets(b, farmOf("d"), nil)
	stderr("the broker answers again")
	stdout("", head, "d"+idle)

	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(t); code != cli.Done {
		t.Errorf("exit code %d", code)
	}
}

func TestWatchAsJSON(t *testing.T) {
	t.Parallel()
	b := fakefarm.New(t, nil)
	sets(b, farmOf("a", "b"), nil)
	p, stdout, _ := started(t, b, "agents", "--watch", "--interval", "1s", "--json")
	event := func(name string, free int) string {
		return fmt.Sprintf(`{"event":"agent","fingerprint":"SHA256:%s","name":"%s","state":"idle","total_cores":8,"free_cores":%d,"total_memory_mb":16384,"free_memory_mb":16384,"running_jobs":0}`, name, name, free)
	}
	stdout(`{"event":"rendezvous","leg":"direct"}`, event("a", 8), event("b", 8))
	farm := farmOf("b", "c")
	farm[0].FreeCores = 7
	sets(b, farm, nil)
	stdout(event("b", 7), event("c", 8), `{"event":"agent_gone","name":"a","fingerprint":"SHA256:a"}`)
	sets(b, nil, &api.Problem{Status: 500, Code: api.CodeInternal, Detail: "it broke"})
	stdout(`{"event":"notice","code":"broker_away","message":"the broker refuses: it broke (500 internal); retrying"}`)
	sets(b, farm, nil)
	stdout(`{"event":"notice","code":"broker_back","message":"the broker answers again"}`)
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	stdout(`{"event":"result","agents":{"online":2,"offline":0}}`)
	if code := p.exit(t); code != cli.Done {
		t.Errorf("exit code %d", code)
	}
}

// TestWatchEndsWhenItIsRefused checks that --watch does not retry a refusal.
func TestWatchEndsWhenItIsRefused(t *testing.T) {
	t.Parallel()
	b := fakefarm.New(t, nil)
	sets(b, farmOf("a"), nil)
	p, stdout, stderr := started(t, b, "agents", "--watch", "--interval", "1s")
	stdout(head, "a"+idle)
	sets(b, nil, &api.Problem{Status: 401, Code: api.CodeBadToken, Detail: "it has expired"})
	stderr("error: the broker refuses: it has expired (401 bad_token)")
	if code := p.exit(t); code != cli.Broker {
		t.Errorf("exit code %d", code)
	}
}

// TestWatchOnATerminal watches, makes the window smaller and presses Ctrl-C.
func TestWatchOnATerminal(t *testing.T) {
	t.Parallel()
	b := fakefarm.New(t, nil)
	sets(b, farmOf("a", "b"), nil)
	p := newProcess(t, b, "agents", "--watch", "--interval", "1s")
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	resize := func(columns, rows uint16) {
		t.Helper()
		if err := pty.Setsize(master, &pty.Winsize{Rows: rows, Cols: columns}); err != nil {
			t.Fatal(err)
		}
	}
	resize(80, 24)
	seen := screen.New(80, 24)
	var group sync.WaitGroup
	group.Go(func() { _, _ = io.Copy(seen, master) }) // EIO is its end
	p.Stdin, p.Stdout, p.Stderr = tty, tty, tty
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if err := tty.Close(); err != nil {
		t.Fatal(err)
	}
	patience, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	shows := func(want ...string) {
		t.Helper()
		all := strings.Join(want, "\n")
		if !seen.Await(patience.Done(), func(text string) bool { return text == all && seen.AtRest() }) {
			t.Fatalf("the terminal shows\n%s\nwant\n%s", seen, all)
		}
	}
	shows(head, "a"+idle, "b"+idle)
	sets(b, farmOf("a", "b", "c"), nil)
	shows(head, "a"+idle, "b"+idle, "c"+idle)
	sets(b, nil, &api.Problem{Status: 503, Code: api.CodeDraining, Detail: "later"})
	away := "the broker refuses: later (503 draining); retrying"
	shows(away, head, "a"+idle, "b"+idle, "c"+idle)
	gone := farmOf("a")
	gone[0].State = api.AgentOffline
	sets(b, gone, nil)
	shows(away, "the broker answers again", "NAME  STATE  CORES  MEMORY  JOBS  BUILDS FOR  TAGS", "no agent is online; 1 offline (listed with --all)")
	sets(b, farmOf(strings.Fields("a b c d e f g h")...), nil)
	seen.Await(patience.Done(), func(text string) bool { return strings.Contains(text, "h"+idle) })
	seen.Resize(20, 6) // it is redrawn at once
	resize(20, 6)
	shows("NAME  STATE  CORES …", "a     idle   8/8   …", "b     idle   8/8   …", "c     idle   8/8   …", "and 5 more")

	if _, err := master.Write([]byte{3}); err != nil { // Ctrl-C
		t.Fatal(err)
	}
	if code := p.exit(t); code != cli.Done {
		t.Errorf("exit code %d", code)
	}
	group.Wait()
	if text := seen.String(); !strings.HasSuffix(text, "and 5 more\n^C") {
		t.Errorf("in the end the terminal shows\n%s", text)
	}
}
