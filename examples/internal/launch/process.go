//go:build unix

package launch

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what a program must do.
const patience = time.Minute

// Process is a program in the background.
type Process struct {
	Cmd *exec.Cmd
	// Log is all that it says on standard output and standard error.
	Log *Log

	out   *Log // standard output alone
	ended chan struct{}
}

// Start runs a command, and whatever that starts, until the test ends. If the
// test fails, it shows what the command has said.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Cmd: cmd, Log: &Log{}, out: &Log{}, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = io.MultiWriter(p.out, p.Log), p.Log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second // for children that hold its output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(p.ended); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-p.ended
		if t.Failed() {
			t.Logf("%s said:\n%s", cmd, p.Log)
		}
	})
	return p
}

// Stop sends a signal to the program, and waits until it has ended.
func (p *Process) Stop(t testing.TB, signal os.Signal) {
	t.Helper()
	if err := p.Cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("stop %s: %v", p.Cmd, err)
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("%s does not end after %v", p.Cmd, signal)
	}
}

// First waits for the first line on standard output.
func (p *Process) First(t testing.TB) string {
	t.Helper()
	return p.await(t, p.out, "")
}

// Says waits for a line with text in it, and returns what follows there.
func (p *Process) Says(t testing.TB, text string) string {
	t.Helper()
	return p.await(t, p.Log, text)
}

func (p *Process) await(t testing.TB, log *Log, text string) string {
	t.Helper()
	limit := time.After(patience)
	for last := false; ; { // last is the look at what a program that has ended has said
		rest, found, grown := log.after(text)
		if found {
			return rest
		}
		if last {
			break
		}
		select {
		case <-grown:
		case <-p.ended:
			last = true
		case <-limit:
			last = true
		}
	}
	t.Fatalf("%s did not say %q:\n%s", p.Cmd, text, p.Log)
	return ""
}
