// Package sandbox runs one untrusted command.
//
// A build runs the project's own code: Makefiles, scripts, compiler plug-ins.
// The agent's operator does not know its authors. So the command sees only this:
//
//	/workspace            the job's files, to read and write
//	/cache                what is kept for the next build, to read and write;
//	                      only if the recipe uses it
//	/tmp                  private, empty, removed at the end
//	/usr /bin /lib …      the machine's programs, read-only
//	/etc                  the few files that the dynamic linker needs, and a
//	                      made-up passwd, group and hosts
//	paths of the recipe   a toolchain outside /usr, read-only
//	/proc /dev            its own processes, the harmless devices
//
// It has no network (not even to this machine), no capabilities, no view of
// other processes, no keyring, a fixed environment, and only the system calls
// that builds need. When the command ends, is canceled, or the agent dies,
// everything it started is killed.
//
//	agent ── bwrap ─┬─ pid 1 of a new pid namespace ── sh (sets limits) ── command ── …
//	                │        ▲   in a control group of the job's own
//	                └────────┘ the kernel kills all below when pid 1 ends
//
// Memory, processes, processors, disk and output of the job are limited. The
// first three need control groups (cgroup_linux.go); without them the limits are
// soft: memory holds for each process alone, and processors can be taken back.
//
// Two implementations: Bubblewrap, which is the above, and None, which only
// limits and kills; None is for operators who trust every client.
package sandbox

import (
	"context"
	"errors"
	"time"

	"github.com/farforge/farforge/common/capacity"
)

// Where the job's directories appear inside Bubblewrap.
const (
	Workspace = "/workspace"
	Cache     = "/cache"
)

// Stream names of output lines.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// Sandbox runs commands. Its methods may be called concurrently.
type Sandbox interface {
	// Name returns the sandbox's name in flags: "bubblewrap" or "none".
	Name() string

	// CachePath returns the command's path of the directory that is Spec.Cache.
	CachePath(dir string) string

	// Check tries the sandbox once. If it cannot be used here, the error is an
	// *Unusable, which says why and what to do.
	Check(ctx context.Context) error

	// Soft returns why limits of memory, processes and processors are soft here,
	// or nil if control groups enforce them.
	Soft() error

	// Run runs one command and returns when it has ended and no process that
	// it started is left. When ctx ends, everything is killed and Run returns
	// context.Cause(ctx). A command that fails is not an error: see
	// Result.ExitCode. An error means that the command did not run to its end;
	// it is a *DiskFull if the command used too much disk.
	Run(ctx context.Context, spec Spec) (Result, error)
}

// Spec says what to run.
type Spec struct {
	// Dir is the job's directory on this machine, absolute. It is the working
	// directory of the command. The command can write there, to /tmp and to
	// Cache.
	Dir string
	// Cache is a second directory that the command can write, absolute; empty:
	// there is none.
	Cache string
	// Argv is the command and its arguments. No shell interprets them.
	Argv []string
	// Env is added to the fixed environment (PATH, HOME, LANG, …) or replaces
	// parts of it.
	Env map[string]string
	// ReadOnly lists absolute paths outside the system directories that the
	// command may read. Paths that do not exist are an error.
	ReadOnly []string
	// Limits hold for the command and what it starts.
	Limits Limits
	// Output gets every line as it is written, one call at a time. It may
	// block, which slows the command down, but must return when ctx ends.
	// Nil discards the output.
	Output func(Line)
}

// Line is one line of the command's output: valid UTF-8, without its end.
type Line struct {
	Stream string // Stdout or Stderr
	Text   string
}

// Limits of a command; zero means no limit, except for output.
type Limits struct {
	// MemoryBytes bounds all memory of the command and what it starts, /tmp
	// included. Without control groups it bounds the address space of each
	// process.
	MemoryBytes int64
	Cores       int // processors; the command sees no others
	// Share bounds the processor time per time that control groups grant, in cores.
	// Zero means Cores.
	Share     capacity.CoreShare
	CPUTime   time.Duration // CPU time of each process (RLIMIT_CPU)
	FileBytes int64         // size of each file (RLIMIT_FSIZE)
	// Processes at a time. Without control groups the kernel does not enforce
	// it for root, and None does not set it, because there it would count the
	// agent's own processes too.
	Processes int
	// DiskBytes and DiskFiles bound what Dir and Cache hold together.
	DiskBytes int64
	DiskFiles int
	// OutputBytes of both streams together. Of a longer output, the head and the
	// tail are kept. Zero means DefaultOutputBytes.
	OutputBytes int64
	// LineBytes is where longer lines are cut. Zero means DefaultLineBytes.
	LineBytes int
}

// Defaults of Limits.
const (
	DefaultOutputBytes = 16 << 20
	DefaultLineBytes   = 8 << 10
)

// Result says how a command ended.
type Result struct {
	// ExitCode is the command's own, or 128 and the signal's number.
	ExitCode int
	// Duration is wall-clock time from start to the end of the last process.
	Duration time.Duration
	// OutOfMemory reports that the kernel killed a process, because the job
	// reached its memory limit.
	OutOfMemory bool
}

// Unusable says why a sandbox cannot be used on this machine.
type Unusable struct {
	Reason string
	Advice string // what the operator can do
}

func (e *Unusable) Error() string { return e.Reason }

// Hint returns the advice.
func (e *Unusable) Hint() string { return e.Advice }

func (s *Spec) validate() error {
	switch {
	case len(s.Argv) == 0 || s.Argv[0] == "":
		return errors.New("sandbox: no command to run")
	case len(s.Dir) == 0 || s.Dir[0] != '/':
		return errors.New("sandbox: the job's directory is not an absolute path")
	case len(s.Cache) > 0 && s.Cache[0] != '/':
		return errors.New("sandbox: the cache is not an absolute path")
	}
	return nil
}
