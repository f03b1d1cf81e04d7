//go:build unix

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// None isolates nothing: the command runs as the agent's user, with the network
// and all files of that user. It sets limits and kills the process group at
// the end; an agent that is itself killed leaves the command running. It is for
// operators who trust every client.
type None struct{}

// Name returns "none".
func (None) Name() string { return "none" }

// CachePath returns dir, because the command sees this machine's paths.
func (None) CachePath(dir string) string { return dir }

// Check implements Sandbox. None needs nothing.
func (None) Check(context.Context) error { return nil }

// Soft implements Sandbox.
func (None) Soft() error { return errors.New("builds run without a sandbox") }

// leftoverGrace bounds how long Run waits for output of a process that left the
// process group and outlived the command.
const leftoverGrace = time.Second

// Run implements Sandbox, except that it does not find and kill a process that has
// started a session of its own.
func (None) Run(ctx context.Context, spec Spec) (Result, error) {
	if err := spec.validate(); err != nil {
		return Result{}, err
	}
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	home, err := os.MkdirTemp("", "farforge-home-")
	if err != nil {
		return Result{}, fmt.Errorf("sandbox: make a home directory: %w", err)
	}
	defer os.RemoveAll(home)

	ctx, stopWatch := watchDisk(ctx, spec, nil)
	defer stopWatch()
	spec.Limits.Processes = 0
	argv := limited(spec.Limits, spec.Argv)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = spec.Dir
	for _, pair := range environ(home, spec.Env) {
		cmd.Env = append(cmd.Env, pair[0]+"="+pair[1])
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

	out := newOutput(spec.Limits, spec.Dir, spec.Output)
	pumps, err := out.attach(cmd)
	if err != nil {
		return Result{}, err
	}
	began := time.Now()
	sealInherited()
	if err := startOn(cmd, spec.Limits.Cores); err != nil {
		pumps.abandon()
		return Result{}, fmt.Errorf("sandbox: start %s: %w", argv[0], err)
	}
	pumps.start()
	err = cmd.Wait()
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what the command left behind
	awaitGroup(cmd.Process.Pid)
	pumps.finish(leftoverGrace)

	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return Result{}, context.Cause(ctx)
	case err != nil && !errors.As(err, &exit):
		return Result{}, fmt.Errorf("sandbox: wait for %s: %w", spec.Argv[0], err)
	}
	return Result{ExitCode: exitCode(cmd.ProcessState), Duration: time.Since(began)}, nil
}

func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}
