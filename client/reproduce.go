package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/client/artifacts"
	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/client/project"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/toolchain"
)

// reproduceOptions are the flags that repeat a build.
type reproduceOptions struct {
	Reproduce string
	SameAgent bool
}

func (o *reproduceOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.Reproduce, "reproduce", "", "repeat the build of this `STATEMENT`, a provenance.json or its folder, and compare")
	f.BoolVar(&o.SameAgent, "same-agent", false, "let --reproduce build on the agent of the statement")
}

// Validate refuses flags that the statement sets.
func (o *reproduceOptions) Validate(given func(flag string) bool) error {
	switch {
	case o.Reproduce == "" && o.SameAgent:
		return usage("--same-agent needs --reproduce")
	case o.Reproduce != "" && (given("target") || given("toolchain") || given("recipe")):
		return cli.Failf(cli.Usage, "--reproduce contradicts --target, --toolchain and --recipe").Hint("leave them out; the statement sets them")
	}
	return nil
}

// reproduce builds the statement's source again and compares the artifacts. Those
// in .farforge/out stay.
func (a *app) reproduce(ctx context.Context, c buildConfig, o reproduceOptions) (err error) {
	known, err := c.Trust.Known()
	if err != nil {
		return err
	}
	claim, err := artifacts.ReadClaim(o.Reproduce, project.StateName, known)
	if err != nil {
		return err
	}
	c.Job.Target, c.Job.Recipe = claim.Target, claim.Recipe
	if c.Job.Toolchain = claim.Toolchain; c.Job.Toolchain != "" && claim.Version != "" {
		c.Job.Toolchain = toolchain.Exactly(claim.Toolchain, claim.Version)
	}
	b, err := a.prepare(ctx, c)
	if err != nil {
		return err
	}
	defer b.Close()
	if b.source != claim.Source {
		return cli.Failf(cli.Verification, "the source here is not the one that was built: it has the digest %s, the statement says %s", b.source, claim.Source).
			Hint("restore the files of that build; client files lists the files that a build would send now")
	}
	if !o.SameAgent {
		b.job.Need.ExcludeAgents = append(b.job.Need.ExcludeAgents, claim.Agent)
	}
	if len(claim.By) == 0 {
		a.ui.Say("the agent that made the statement is not known (%s); the comparison shows whether it is true", console.Clean(claim.Agent, false))
	}
	dir, err := os.MkdirTemp("", "farforge-reproduce-")
	if err != nil {
		return cli.Failf(cli.Usage, "make a folder for the artifacts: %w", err)
	}
	keep := false
	defer func() {
		if !keep {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	state, err := os.OpenRoot(dir)
	if err != nil {
		return cli.Failf(cli.Usage, "make a folder for the artifacts: %w", err)
	}
	defer state.Close()
	// A new folder has a new project key; the agent must not use or keep a cache.
	b.fresh = true
	built, set, err := b.run(ctx, state, filepath.Join(dir, artifacts.OutName))
	var unable *cli.Error
	if errors.As(err, &unable) && unable.Exit == cli.NoAgent && !o.SameAgent {
		unable.Hint("use --same-agent to build on the statement's own agent again, which proves less")
	}
	if err != nil {
		return err
	}
	compared := artifacts.Compare(claim.Artifacts, set.Files)
	var different []string
	for _, x := range compared {
		a.ui.Compared(x)
		if x.Is != artifacts.Same {
			different = append(different, x.Path)
		}
	}
	if len(different) > 0 {
		keep = true
		return cli.Failf(cli.Verification, "not reproduced: %d of %d artifacts are not the same: %s", len(different), len(compared), console.Clean(strings.Join(different, ", "), false)).
			Hint(fmt.Sprintf("what %s has built is in %s", console.Clean(built.Agent.Name, false), set.Dir),
				"builds often differ by times, paths and the order of files; a recipe can take these out")
	}
	a.ui.Done(console.Report{Reproduced: &console.Reproduced{
		JobID: built.JobID, Agent: built.Agent, Original: claim.Agent, By: claim.By, Artifacts: len(compared),
	}})
	return nil
}
