package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/cli"
)

// envKey marks a flag with the environment variable that it is read from when
// the command line does not have it.
const envKey = "farforge_env"

// env gives a flag its environment variable.
func env(f *pflag.FlagSet, flag, variable string) {
	found := f.Lookup(flag)
	found.Usage += " (env " + variable + ")"
	if found.Annotations == nil {
		found.Annotations = map[string][]string{}
	}
	found.Annotations[envKey] = []string{variable}
}

// fromEnvironment sets the flags that the command line does not have.
func fromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		variable := f.Annotations[envKey]
		if err != nil || f.Changed || len(variable) == 0 {
			return
		}
		if value, ok := lookup(variable[0]); ok && value != "" {
			if setErr := flags.Set(f.Name, value); setErr != nil {
				err = cli.Failf(cli.Usage, "the environment variable %s has the value %q: %w", variable[0], value, setErr)
			}
		}
	})
	return err
}

// outputOptions are the flags of every verb.
type outputOptions struct {
	JSON, Quiet bool
	Verbose     int
}

func (o *outputOptions) register(f *pflag.FlagSet) {
	f.BoolVar(&o.JSON, "json", false, "write one JSON object a line to standard output, for programs")
	f.BoolVarP(&o.Quiet, "quiet", "q", false, "write nothing but results and errors")
	f.CountVarP(&o.Verbose, "verbose", "v", "tell more on standard error; twice for what helps to find faults")
}

func (o *outputOptions) validate() error {
	if o.Quiet && o.Verbose > 0 {
		return usage("--quiet and --verbose contradict each other")
	}
	return nil
}

// logger is for what helps to find faults.
func (o *outputOptions) logger(w io.Writer) *slog.Logger {
	level := slog.LevelWarn
	switch {
	case o.Verbose == 0:
		return slog.New(slog.DiscardHandler)
	case o.Verbose == 1:
		level = slog.LevelInfo
	default:
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

func usage(format string, args ...any) error {
	return cli.Fail(cli.Usage, fmt.Errorf(format, args...))
}

// folderArg accepts at most one argument.
func folderArg(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return cli.Failf(cli.Usage, "%s takes one folder, not %d", cmd.CommandPath(), len(args)).
			Hint("see " + cmd.CommandPath() + " --help")
	}
	return nil
}

// folder is what the argument names, or where the command was started.
func folder(args []string) string {
	if len(args) == 0 {
		return "."
	}
	return args[0]
}
