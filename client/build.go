package main

import (
	"cmp"
	"context"
	"errors"
	"path"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/farforge/farforge/client/artifacts"
	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/client/project"
	"github.com/farforge/farforge/client/session"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
)

// buildConfig is the command line of client build.
type buildConfig struct {
	Dir string
	sourceOptions
	jobOptions
}

func (c *buildConfig) register(f *pflag.FlagSet) {
	c.jobOptions.register(f)
	c.sourceOptions.register(f)
}

// Validate reports what is wrong before anything is read or asked.
func (c *buildConfig) Validate() error {
	return cmp.Or(c.jobOptions.Validate(), c.sourceOptions.Validate())
}

// from takes the folder that the arguments name.
func (c *buildConfig) from(args []string) error {
	if len(args) > 0 && c.SourceURL != "" {
		return cli.Failf(cli.Usage, "--source-url takes the place of the folder %s", args[0]).
			Hint("name one of them; the artifacts of --source-url come to .farforge/out here")
	}
	c.Dir = folder(args)
	return c.Validate()
}

func (a *app) buildCommand() *cobra.Command {
	var c buildConfig
	cmd := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Build a project on an agent",
		Long: `Build the project in DIR, or here, on an agent, and bring the artifacts to
DIR/.farforge/out. They take the place of the last build's when all of them have
arrived and are what the agent says they are.

With --source-url and --source-sha256 the agent fetches the source, nothing is
sent, and the artifacts come to .farforge/out here.

Standard output lists them as sha256sum does.`,
		Args: folderArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.from(args); err != nil {
				return err
			}
			built, _, err := a.build(cmd.Context(), c)
			if err != nil {
				return err
			}
			a.list(built)
			a.ui.Done(console.Report{Build: built})
			return nil
		},
	}
	c.register(cmd.Flags())
	return cmd
}

// build does one build, from the project's files to its artifacts.
func (a *app) build(ctx context.Context, c buildConfig) (built *console.Built, set *artifacts.Set, err error) {
	start := time.Now()
	broker, err := c.broker(ctx, a.log)
	if err != nil {
		return nil, nil, err
	}
	defer broker.Close()
	p, err := project.Open(c.Dir)
	if err != nil {
		return nil, nil, err
	}
	defer p.Close()
	name, config := p.Name(), p.Config
	if c.SourceURL != "" { // what lies here is another project
		name, config = path.Base(c.SourceURL), project.Config{}
	}
	job := session.Job{
		Broker: broker.Client, As: broker.as.Name,
		Build:    channel.Build{Project: name, Recipe: cmp.Or(c.Recipe, config.Recipe), Source: c.reference()},
		Patience: c.QueueTimeout, Events: a.ui.Event, Logger: a.log,
	}
	if job.Build.Source == nil {
		if job.Source, err = p.Scan(ctx); err != nil {
			return nil, nil, err
		}
		job.Open = p.OpenFile
	}
	state, err := p.State()
	if err != nil {
		return nil, nil, err
	}
	defer state.Close()
	key, err := project.Key(state)
	if err != nil {
		return nil, nil, cli.Fail(cli.Usage, err)
	}
	incoming, err := artifacts.Begin(state)
	if err != nil {
		return nil, nil, err
	}
	scanned := time.Since(start)
	job.Need, job.Sink = c.need(config, key), incoming.Sink()
	outcome, err := session.Run(ctx, job)
	if err != nil {
		return nil, nil, errors.Join(err, incoming.Discard())
	}
	if outcome.Received == nil {
		outcome.Received = &channel.Manifest{}
	}
	set, err = incoming.Keep(outcome.Received, outcome.Result)
	if err != nil {
		return nil, nil, err
	}
	set.Dir = filepath.Join(c.Dir, project.StateName, artifacts.OutName)
	if c.Out != "" {
		if err := set.CopyTo(c.Out); err != nil {
			return nil, nil, err
		}
	}
	return console.NewBuilt(outcome, set, scanned+outcome.Setup, time.Since(start)), set, nil
}

// list writes the artifacts in the form of sha256sum, which can check them.
func (a *app) list(b *console.Built) {
	for _, f := range b.Artifacts {
		a.ui.Result("%s  %s", f.SHA256, filepath.Join(b.Dir, filepath.FromSlash(f.Path)))
	}
}
