package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/farforge/farforge/client/project"
	"github.com/farforge/farforge/common/cli"
)

// outputOptions are the flags of every verb.
type outputOptions struct {
	JSON, Quiet bool
	Verbose     int
}

func (o *outputOptions) register(f *pflag.FlagSet) {
	f.BoolVar(&o.JSON, "json", false, "write one JSON object a line to standard output")
	f.BoolVarP(&o.Quiet, "quiet", "q", false, "write only results and errors")
	f.CountVarP(&o.Verbose, "verbose", "v", "write more to standard error; twice for debugging")
}

func (o *outputOptions) validate() error {
	if o.Quiet && o.Verbose > 0 {
		return usage("--quiet and --verbose contradict each other")
	}
	return nil
}

// logger returns the logger for debugging, which is silent without --verbose.
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
		return cli.Usagef("%s takes one folder, not %d", cmd.CommandPath(), len(args)).
			Hint("see " + cmd.CommandPath() + " --help")
	}
	return nil
}

// folder returns the project's folder: the argument, or else the current folder
// or the nearest one above it that has a project file.
func folder(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	here, err := os.Getwd()
	if err != nil {
		return "."
	}
	home, _ := os.UserHomeDir()
	for up := "."; ; up = filepath.Join("..", up) {
		dir := filepath.Join(here, up)
		if _, err := os.Stat(filepath.Join(dir, project.ConfigName)); err == nil {
			return up
		}
		// A project ends at its repository; files above the home folder
		// belong to other users.
		_, err := os.Lstat(filepath.Join(dir, ".git"))
		if err == nil || dir == home || dir == filepath.Dir(dir) {
			return "."
		}
	}
}
