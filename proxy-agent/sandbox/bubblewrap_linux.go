package sandbox

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// Bubblewrap is the sandbox of https://github.com/containers/bubblewrap: Linux
// namespaces set up by the bwrap program. It needs no privilege where the
// kernel lets users make user namespaces. Make one with NewBubblewrap.
type Bubblewrap struct {
	path  string
	flags map[string]bool // options this bwrap knows
}

// Name returns "bubblewrap".
func (b *Bubblewrap) Name() string { return "bubblewrap" }

// CachePath returns Cache, whatever the directory is called outside.
func (b *Bubblewrap) CachePath(string) string { return Cache }

// Run implements Sandbox.
func (b *Bubblewrap) Run(ctx context.Context, spec Spec) (Result, error) {
	if err := spec.validate(); err != nil {
		return Result{}, err
	}
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	args, err := b.arguments(spec)
	if err != nil {
		return Result{}, err
	}
	// "Die with parent" means to the kernel: with the thread that started it.
	// Holding the thread keeps Go from ending it while the command runs.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	began := time.Now()
	p, err := b.start(args, newOutput(spec.Limits, Workspace, spec.Output))
	if err != nil {
		return Result{}, err
	}
	stop := context.AfterFunc(ctx, p.kill)
	code, err := p.wait()
	stop()
	switch {
	case ctx.Err() != nil:
		return Result{}, context.Cause(ctx)
	case err != nil:
		return Result{}, err
	}
	return Result{ExitCode: code, Duration: time.Since(began)}, nil
}

// start runs bwrap with a status pipe as descriptor 3 and a gate as
// descriptor 4. bwrap reports pid 1 of the sandbox on the first and waits at
// the second, so that pid 1 is held by descriptor before it can end.
func (b *Bubblewrap) start(args []string, out *output) (*wrapped, error) {
	statusR, statusW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("sandbox: make a pipe: %w", err)
	}
	gateR, gateW, err := os.Pipe()
	if err != nil {
		closeFiles(statusR, statusW)
		return nil, fmt.Errorf("sandbox: make a pipe: %w", err)
	}
	cmd := exec.Command(b.path, args...)
	cmd.Env = []string{} // not nil: nothing of the agent's
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{statusW, gateR}
	pipes, err := out.attach(cmd)
	if err != nil {
		closeFiles(statusR, statusW, gateR, gateW)
		return nil, err
	}
	sealInherited()
	err = cmd.Start()
	closeFiles(statusW, gateR)
	if err != nil {
		pipes.abandon()
		closeFiles(statusR, gateW)
		return nil, fmt.Errorf("sandbox: start bwrap: %w", err)
	}
	pipes.start()
	return begin(cmd, pipes, statusR, gateW), nil
}
