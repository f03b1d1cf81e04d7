package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/common/cli"
)

const longHelp = `The client sends a project's files to a build agent, shows the build's log, brings
the artifacts back, and flashes them to the board on this machine's serial port.
A broker introduces it to an agent and sees none of that.

Exit codes: 0 done · 1 the build failed · 2 wrong usage · 3 broker unreachable or
refused · 4 no agent able · 5 lost the agent · 6 serial port or chip ·
7 verification failed · 130 interrupted.`

const examples = `  client run                         # build, flash, monitor the project here
  client build blink --target esp32c3
  client agents                      # who could build?
  client flash blink --port /dev/ttyUSB0
  client monitor --monitor-until "ready"
  client verify blink                # who has built what is there?
  client files blink                 # what would be sent`

// app is what the verbs share.
type app struct {
	output         outputOptions
	stdout, stderr io.Writer
	ui             *console.Console
	log            *slog.Logger
}

// execute runs the command line and shows how it ended.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) cli.Exit {
	a := &app{stdout: stdout, stderr: stderr}
	cmd := newCommand(a)
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	if a.ui == nil { // the command line was not understood
		if err := a.output.validate(); err != nil {
			a.output = outputOptions{}
		}
		a.start()
	}
	if err != nil {
		a.ui.Fail(err)
	} else {
		a.ui.Close()
	}
	return cli.Code(err)
}

// start makes the console once the flags are known.
func (a *app) start() {
	a.ui = console.New(console.Options{
		Stdout: a.stdout, Stderr: a.stderr, JSON: a.output.JSON, Quiet: a.output.Quiet, Getenv: os.Getenv,
	})
	a.log = a.output.logger(a.stderr)
}

// newCommand returns the whole command line.
func newCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "client",
		Short:         "Build far away, flash right here",
		Long:          longHelp,
		Example:       examples,
		Version:       version(),
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromEnvironment(cmd.Flags(), os.LookupEnv); err != nil {
				return err
			}
			if err := a.output.validate(); err != nil {
				return err
			}
			a.start()
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cli.Failf(cli.Usage, "say what to do: build, run, flash, monitor, verify, agents or files").Hint("see client --help")
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return cli.Fail(cli.Usage, err, "see "+cmd.CommandPath()+" --help")
	})
	a.output.register(root.PersistentFlags())
	root.AddCommand(a.buildCommand(), a.runCommand(), a.flashCommand(), a.monitorCommand(), a.verifyCommand(),
		a.agentsCommand(), a.filesCommand(), a.doctorCommand(), a.versionCommand())
	return root
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Tell the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			a.ui.Result("%s", version())
			a.ui.Done(console.Report{Version: version()})
			return nil
		},
	}
}

// version is the module's, as the Go toolchain recorded it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
