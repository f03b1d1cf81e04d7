//go:build unix

package launch

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for a program's next step.
const patience = time.Minute

// Process is a program in the background.
type Process struct {
	Cmd *exec.Cmd
	// Log is its standard output and standard error.
	Log *Log

	out     *Log            // standard output only
	running context.Context // done when the program has ended
}

// Start runs a command and its children until the test ends. If the test fails,
// it logs the command's output.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	running, end := context.WithCancel(context.Background())
	p := &Process{Cmd: cmd, Log: &Log{}, out: &Log{}, running: running}
	cmd.Stdout, cmd.Stderr = io.MultiWriter(p.out, p.Log), p.Log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second // for children that hold its output open
	if err := cmd.Start(); err != nil {
		end()
		t.Fatal(err)
	}
	go func() { defer end(); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-running.Done()
		if t.Failed() {
			t.Logf("%s said:\n%s", cmd, p.Log)
		}
	})
	return p
}

// Stop sends a signal to the program and waits until it has ended.
func (p *Process) Stop(t testing.TB, signal os.Signal) {
	t.Helper()
	if err := p.Cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("stop %s: %v", p.Cmd, err)
	}
	select {
	case <-p.running.Done():
	case <-time.After(patience):
		t.Fatalf("%s did not end after %v", p.Cmd, signal)
	}
}

// First waits for the first line on standard output.
func (p *Process) First(t testing.TB) string {
	t.Helper()
	return p.await(t, p.out, "")
}

// WaitFor waits for a line that contains text, and returns the rest of the line.
func (p *Process) WaitFor(t testing.TB, text string) string {
	t.Helper()
	return p.await(t, p.Log, text)
}

func (p *Process) await(t testing.TB, log *Log, text string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.running, patience)
	defer cancel()
	rest, ok := log.Await(ctx, text)
	if !ok {
		t.Fatalf("%s did not print %q:\n%s", p.Cmd, text, p.Log)
	}
	return rest
}
