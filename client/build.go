package main

import (
	"cmp"
	"context"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/farforge/farforge/client/artifacts"
	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/client/project"
	"github.com/farforge/farforge/client/remote"
	"github.com/farforge/farforge/client/trust"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
)

// buildConfig is the command line of client build.
type buildConfig struct {
	Dir    string
	Broker brokerConfig
	Job    remote.Options
	Source remote.SourceOptions
	Trust  trust.Options
	// AllowUnsigned accepts artifacts without a statement.
	AllowUnsigned bool
	// Out is a folder that gets a copy of the artifacts.
	Out string
}

func (c *buildConfig) register(f *pflag.FlagSet) {
	cli.Section(f, "Job", c.Job.RegisterJob, c.registerOut)
	cli.Section(f, "Agents", c.Job.RegisterAgents, c.Trust.Register, c.registerTrust)
	c.Broker.register(f)
	cli.Section(f, "Source by URL", c.Source.Register)
}

func (c *buildConfig) registerOut(f *pflag.FlagSet) {
	f.StringVar(&c.Out, "out", "", "also copy the artifacts to `DIR`")
}

func (c *buildConfig) registerTrust(f *pflag.FlagSet) {
	f.BoolVar(&c.AllowUnsigned, "allow-unsigned", false, "accept artifacts of an agent that signs no statement about them")
}

// Validate reports the first wrong option, before anything is read or sent.
func (c *buildConfig) Validate() error {
	return cmp.Or(c.Broker.Validate(), c.Job.Validate(), c.Source.Validate())
}

// from sets the project to the folder that the arguments name.
func (c *buildConfig) from(args []string) error {
	if len(args) > 0 && c.Source.SourceURL != "" {
		return cli.Usagef("--source-url takes the place of the folder %s", args[0]).
			Hint("name one of them; the artifacts of --source-url go to .farforge/out here")
	}
	c.Dir = folder(args)
	return c.Validate()
}

func (a *app) buildCommand() *cobra.Command {
	var c buildConfig
	var again reproduceOptions
	cmd := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Build a project on an agent",
		Long: `Build the project in DIR, or in the current folder, on an agent, and bring the
artifacts to DIR/.farforge/out. They replace those of the last build once all of
them have arrived and match the statement that the agent has signed about them and
this very source.

With --source-url and --source-sha256 the agent fetches the source, the client
sends no files, and the artifacts go to .farforge/out in the current folder.

With --reproduce another agent repeats a build, from the source and with the recipe
and the toolchain that a provenance.json names. The artifacts are compared one by
one. The files in .farforge/out stay.

Standard output lists the artifacts as sha256sum does.`,
		Example: `  client build
  client build blink --target esp32c3 --toolchain esp-idf@~5.3
  client build blink --toolchain 'esp-idf@>=5.1,<5.4' --tag eu --exclude-agent anvil
  client build blink --explain
  client build blink --reproduce blink`,
		Args: folderArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.from(args); err != nil {
				return err
			}
			if err := again.Validate(cmd.Flags().Changed); err != nil {
				return err
			}
			if again.Reproduce != "" {
				return a.reproduce(cmd.Context(), c, again)
			}
			built, _, err := a.build(cmd.Context(), c)
			if err != nil {
				return err
			}
			a.list(built.Dir, built.Artifacts)
			a.ui.Done(console.Report{Build: built})
			return nil
		},
	}
	c.register(cmd.Flags())
	again.register(cmd.Flags())
	return cmd
}

// build does one build, from the project's files to its artifacts.
func (a *app) build(ctx context.Context, c buildConfig) (*console.Built, *artifacts.Set, error) {
	b, err := a.prepare(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	defer b.Close()
	state, err := b.project.State()
	if err != nil {
		return nil, nil, err
	}
	defer state.Close()
	return b.run(ctx, state, filepath.Join(c.Dir, project.StateName, artifacts.OutName))
}

// list writes the artifacts in the form of sha256sum, which can check them.
func (a *app) list(dir string, files []api.Artifact) {
	for _, f := range files {
		a.ui.Result("%s  %s", f.SHA256, filepath.Join(dir, filepath.FromSlash(f.Path)))
	}
}
