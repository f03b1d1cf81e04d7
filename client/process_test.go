//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/farforge/farforge/client/internal/fakefarm"
	"github.com/farforge/farforge/common/cli"
)

// process is a client in its own process.
type process struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
}

func newProcess(t *testing.T, b *fakefarm.Broker, args ...string) *process {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.c"), []byte("int main(void) { return 0; }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.CommandContext(t.Context(), os.Args[0], args...)}
	p.Dir = dir
	p.Env = append(os.Environ(), asClient+"=1", "FARFORGE_URL="+b.URL, "TERM=xterm", "NO_COLOR=",
		"XDG_CONFIG_HOME="+t.TempDir()) // ports are used again, by agents with other keys
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	return p
}

func (p *process) exit(t *testing.T) cli.Exit {
	t.Helper()
	err := p.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cli.Exit(p.ProcessState.ExitCode())
}

// TestSignalCancelsTheBuild sends the signals of Ctrl-C, kill and a closed terminal.
func TestSignalCancelsTheBuild(t *testing.T) {
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			started, canceled := make(chan struct{}), make(chan struct{})
			b := fakefarm.New(t, func(ctx context.Context, s *fakefarm.Session) error {
				err := fakefarm.Waits(started)(ctx, s)
				select {
				case <-s.Canceled:
					close(canceled)
				default:
				}
				return err
			})
			p := newProcess(t, b, "build")
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			<-started
			if err := p.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			if code := p.exit(t); code != cli.Interrupted {
				t.Errorf("exit code %d", code)
			}
			<-canceled
			if got := p.stderr.String(); !strings.Contains(got, "canceling the build") || !strings.HasSuffix(got, "error: the job was canceled\n") {
				t.Errorf("the output is\n%s", got)
			}
			entries, err := os.ReadDir(filepath.Join(p.Dir, ".farforge"))
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if strings.HasPrefix(e.Name(), "incoming-") {
					t.Errorf("%s was left behind", e.Name())
				}
			}
		})
	}
}

// TestBrokenPipeCancelsTheBuild closes the pipe that gets the log.
func TestBrokenPipeCancelsTheBuild(t *testing.T) {
	canceled := make(chan struct{})
	b := fakefarm.New(t, func(ctx context.Context, s *fakefarm.Session) error {
		if err := fakefarm.Starts(ctx, s); err != nil {
			return err
		}
		for tick := time.NewTicker(time.Millisecond); ; {
			select {
			case <-s.Canceled:
				tick.Stop()
				close(canceled)
				return nil
			case <-tick.C:
				_ = s.Say(ctx, fakefarm.Lines("cc another.c")) // until the client hangs up
			}
		}
	})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := newProcess(t, b, "build")
	p.Stderr = w
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(r); lines.Text() != "cc another.c"; { // the build runs
		if !lines.Scan() {
			t.Fatalf("the log ends early: %v", lines.Err())
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(t); code != cli.Interrupted {
		t.Errorf("exit code %d", code)
	}
	<-canceled
}

// TestSecondSignalExitsAtOnce uses an agent that never reacts to the first signal.
func TestSecondSignalExitsAtOnce(t *testing.T) {
	started, asked, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
	b := fakefarm.New(t, func(ctx context.Context, s *fakefarm.Session) error {
		err := fakefarm.Starts(ctx, s)
		close(started)
		<-s.Canceled
		close(asked)
		<-left
		return err
	})
	defer close(left)
	p := newProcess(t, b, "build")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for _, step := range []chan struct{}{started, asked} {
		<-step
		time.Sleep(cli.SignalGap) // or it would count as the same signal
		begin = time.Now()
		if err := p.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
	}
	if code := p.exit(t); code != cli.Interrupted {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestTerminalSeesBars runs the client on a real terminal.
func TestTerminalSeesBars(t *testing.T) {
	b := fakefarm.New(t, fakefarm.Succeeds(fakefarm.Made()))
	p := newProcess(t, b, "build")
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	p.Stderr = tty
	var seen []byte
	var group sync.WaitGroup
	group.Go(func() { seen, _ = io.ReadAll(master) }) // EIO is its end
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if err := tty.Close(); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(t); code != cli.Done {
		t.Errorf("exit code %d", code)
	}
	group.Wait()
	for _, want := range []string{"upload  [====", "download  [====", "cc main.c\r\n", "  image    hello.bin"} {
		if !strings.Contains(string(seen), want) {
			t.Errorf("%q is not shown", want)
		}
	}
	if strings.Count(p.stdout.String(), "\n") != 3 || strings.Contains(p.stdout.String(), "[=") {
		t.Errorf("standard output has\n%s", p.stdout.String())
	}
	if t.Failed() {
		t.Logf("the terminal got\n%q", seen)
	}
}
