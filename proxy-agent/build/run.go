package build

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/proxy-agent/sandbox"
)

// Allowance limits what one job may use.
type Allowance struct {
	Cores    int
	Share    capacity.CoreShare // of processor time; zero means Cores
	MemoryMB int                // MiB
	Time     time.Duration      // of the whole build, by the clock
	Disk     Disk
	// Cache is the folder that {cache} names: an absolute path on this machine.
	// It is set if and only if the recipe uses one.
	Cache string
}

// maxProcesses of one build at a time.
const maxProcesses = 4096

// Command returns the recipe's build command for that sandbox, with its
// placeholders replaced.
func (c *Choice) Command(sb sandbox.Sandbox, allow Allowance) ([]string, error) {
	return c.values(sb, allow).expandAll(c.Recipe.Build.Command)
}

func (c *Choice) values(sb sandbox.Sandbox, allow Allowance) Values {
	v := Values{Target: c.Target, Cores: max(allow.Cores, 1), Out: c.Recipe.Build.Out}
	if c.Recipe.Build.Cache {
		v.Cache = sb.CachePath(allow.Cache)
	}
	return v
}

// Run runs the recipe's command in the workspace. It returns when no process of
// the build is left; see sandbox.Sandbox for its results. It first empties the
// output directory, so that this build made every artifact.
func (c *Choice) Run(ctx context.Context, sb sandbox.Sandbox, ws *Workspace, allow Allowance, output func(sandbox.Line)) (sandbox.Result, error) {
	if c.Recipe.Build.Cache != (allow.Cache != "") {
		return sandbox.Result{}, fmt.Errorf("run the recipe %s: its cache setting is %v, but the cache is %q", c.Recipe.Name, c.Recipe.Build.Cache, allow.Cache)
	}
	argv, err := c.Command(sb, allow)
	if err != nil {
		return sandbox.Result{}, err
	}
	env := map[string]string{}
	for key, value := range c.Recipe.Toolchain.Env {
		env[key] = value
	}
	for key, value := range c.Recipe.Build.Env {
		if env[key], err = c.values(sb, allow).expand(value); err != nil {
			return sandbox.Result{}, err
		}
	}
	if _, err := ws.Root.Lstat(c.Recipe.Build.Out); err == nil {
		output(sandbox.Line{Stream: sandbox.Stderr, Text: fmt.Sprintf(
			"farforge: removed the project's %s: the build makes its own", c.Recipe.Build.Out)})
	}
	if err := ws.Root.RemoveAll(c.Recipe.Build.Out); err != nil {
		return sandbox.Result{}, fmt.Errorf("clear the output directory: %w", err)
	}
	result, err := sb.Run(ctx, sandbox.Spec{
		Dir: ws.Dir, Cache: allow.Cache, Argv: argv, Env: env, ReadOnly: c.Recipe.Toolchain.Paths,
		Limits: sandbox.Limits{
			MemoryBytes: int64(allow.MemoryMB) << 20,
			Cores:       allow.Cores,
			Share:       allow.Share,
			CPUTime:     allow.Time * time.Duration(max(allow.Cores, 1)),
			FileBytes:   allow.Disk.Bytes,
			Processes:   maxProcesses,
			DiskBytes:   allow.Disk.Bytes,
			DiskFiles:   allow.Disk.Files,
		},
		Output: output,
	})
	var full *sandbox.DiskFull
	if errors.As(err, &full) {
		err = &channel.Problem{Code: channel.ProblemSizeLimit, Message: full.Reason,
			Hints: []string{"the agent's operator sets the limit (--job-disk, --job-files)"}}
	}
	return result, err
}
