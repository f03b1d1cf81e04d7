package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/farforge/farforge/common/capacity"
)

// Bubblewrap is the sandbox of https://github.com/containers/bubblewrap: Linux
// namespaces set up by the bwrap program. It needs no privilege where the
// kernel lets users make user namespaces. Make one with NewBubblewrap.
type Bubblewrap struct {
	path   string
	flags  map[string]bool // options that this bwrap knows
	filter []byte          // of system calls
	cores  *cores
	groups *cgroups // nil: limits are soft
	soft   error    // why
	broken error    // the filter cannot be made
}

// Name returns "bubblewrap".
func (b *Bubblewrap) Name() string { return "bubblewrap" }

// CachePath returns Cache, whatever the directory is called outside.
func (b *Bubblewrap) CachePath(string) string { return Cache }

// Soft implements Sandbox.
func (b *Bubblewrap) Soft() error { return b.soft }

// Run implements Sandbox.
func (b *Bubblewrap) Run(ctx context.Context, spec Spec) (result Result, err error) {
	if err := spec.validate(); err != nil {
		return Result{}, err
	}
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	cpus, release := b.cores.take(spec.Limits.Cores)
	defer release()
	job, err := b.group(spec.Limits, cpus)
	if err != nil {
		return Result{}, err
	}
	if job != nil {
		defer func() { err = errors.Join(err, job.remove()) }()
	}
	inside := &namespace{}
	ctx, stopWatch := watchDisk(ctx, spec, inside.held)
	defer stopWatch()
	// "Die with parent" means to the kernel: with the thread that started it.
	// Holding the thread keeps Go from ending it while the command runs. The
	// keyring and the processors are the thread's, too; the goroutine ends with
	// the thread, so that no other inherits them.
	type ended struct {
		code int
		err  error
	}
	began := time.Now()
	over := make(chan ended, 1)
	go func() {
		runtime.LockOSThread()
		code, err := b.runOnThread(ctx, spec, cpus, job, inside)
		over <- ended{code, err}
	}()
	e := <-over
	switch {
	case ctx.Err() != nil:
		return Result{}, context.Cause(ctx)
	case e.err != nil:
		return Result{}, e.err
	}
	return Result{ExitCode: e.code, Duration: time.Since(began), OutOfMemory: job != nil && job.outOfMemory()}, nil
}

func (b *Bubblewrap) group(l Limits, cpus []int) (*group, error) {
	if b.groups == nil {
		return nil, nil
	}
	share := l.Share
	if share == 0 {
		share = capacity.CoreShare(l.Cores)
	}
	g, err := b.groups.make(groupLimits{memory: l.MemoryBytes, processes: l.Processes, share: share, cpus: cpus})
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	return g, nil
}

func (b *Bubblewrap) runOnThread(ctx context.Context, spec Spec, cpus []int, job *group, inside *namespace) (int, error) {
	if err := emptyKeyring(); err != nil {
		return 0, err
	}
	h, err := b.hand()
	if err != nil {
		return 0, err
	}
	defer h.close()
	args, err := b.arguments(spec, h)
	if err != nil {
		return 0, err
	}
	p, err := b.start(args, h, newOutput(spec.Limits, Workspace, spec.Output))
	if err != nil {
		return 0, err
	}
	p.begin(func(pid int) error {
		inside.find(pid)
		raiseOOMScore(pid)
		if err := bind(pid, cpus); err != nil {
			return fmt.Errorf("sandbox: give the build its processors: %w", err)
		}
		if job == nil {
			return nil
		}
		return job.add(pid)
	})
	stop := context.AfterFunc(ctx, p.kill)
	defer stop()
	return p.wait()
}

// raiseOOMScore makes the kernel kill a build before the agent when memory is
// short. The build raises its own score as well; if the agent has the right, the
// build cannot take this one back.
func raiseOOMScore(pid int) {
	_ = writeKernel(fmt.Sprintf("/proc/%d/oom_score_adj", pid), "1000")
}

// start runs bwrap with a status pipe as descriptor 3 and a gate as
// descriptor 4. bwrap reports pid 1 of the sandbox on the first and waits at
// the second, so that the agent can prepare pid 1 and hold it by descriptor
// before the command starts.
func (b *Bubblewrap) start(args []string, h *handed, out *output) (*wrapped, error) {
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
	cmd.ExtraFiles = append([]*os.File{statusW, gateR}, h.files...)
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
	return newWrapped(cmd, pipes, statusR, gateW), nil
}
