package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/command"
)

const longHelp = `The client sends a project's files to a build agent, shows the build's log, brings
the artifacts back, and flashes them to the board on this machine's serial port.
The broker introduces it to an agent and sees none of these files.

Exit codes: 0 done · 1 the build failed · 2 wrong usage · 3 broker unreachable or
refused · 4 no agent able · 5 lost the agent · 6 serial port or chip ·
7 verification failed · 130 interrupted.`

const examples = `  client config set url https://broker.example.org
  client run                         # build, flash and monitor the project here
  client build blink --target esp32c3
  client agents                      # list the agents
  client flash blink --port /dev/ttyUSB0
  client monitor --monitor-until "ready"
  client verify blink                # check who built the artifacts, from what
  client files blink                 # list the files that a build would send`

// app is the state that the verbs share.
type app struct {
	output         outputOptions
	settings       settings
	stdout, stderr io.Writer
	ui             *console.Console
	log            *slog.Logger
}

// execute runs the command line and prints its result or error.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) cli.Exit {
	a := &app{stdout: stdout, stderr: stderr}
	cmd := newCommand(a)
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	if a.ui == nil { // the command line is wrong
		if err := a.output.validate(); err != nil {
			a.output = outputOptions{}
		}
		// The parser may have stopped before --json.
		a.output.JSON = a.output.JSON || slices.Contains(args, "--json")
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
		Use:     "client",
		Short:   "Build far away, flash right here",
		Long:    longHelp,
		Example: examples,
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			if err := a.settings.settle(cmd, args); err != nil {
				return err
			}
			if err := a.output.validate(); err != nil {
				return err
			}
			a.start()
			return nil
		},
		RunE: func(*cobra.Command, []string) error {
			return cli.Usagef("the verb is missing, such as build, run, flash, monitor, verify, agents or files").Hint("see client --help")
		},
	}
	a.output.register(root.PersistentFlags())
	root.AddCommand(a.buildCommand(), a.runCommand(), a.flashCommand(), a.monitorCommand(), a.verifyCommand(),
		a.agentsCommand(), a.filesCommand(), a.doctorCommand(), a.portsCommand(), a.chipCommand(), a.imageCommand(), a.initCommand(), a.configCommand(), a.versionCommand(), command.FrontingTopic())
	root.AddCommand(foreignCommands()...)
	command.Finish(root)
	completeValues(root)
	return root
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			a.ui.Result("%s", cli.Version())
			a.ui.Done(console.Report{Version: cli.Version()})
			return nil
		},
	}
}
