// Package command makes the commands of the three programs alike: help with
// flags below headings, suggestions for mistyped verbs and flags, the verbs
// version, help and completion, and errors that common/cli prints.
//
// A program builds its tree of cobra commands and hands the root to [Finish].
package command

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/cli"
)

// Finish completes a program's command line. Call it once, after the last verb
// was added and before the root is executed.
func Finish(root *cobra.Command) {
	root.Version = cli.Version()
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(flagError)
	root.SetUsageFunc(usage)
	root.SetHelpFunc(help)
	if root.PersistentPreRunE == nil {
		root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
			return cli.FromEnvironment(cmd.Flags(), os.LookupEnv)
		}
	}
	if !has(root, "version") {
		root.AddCommand(versionCommand())
	}
	root.SetHelpCommand(helpCommand())
	root.InitDefaultHelpCmd()
	finish(root)
}

// finish refuses unknown verbs of every command that has verbs.
func finish(cmd *cobra.Command) {
	cmd.Flags().SortFlags = false
	cmd.PersistentFlags().SortFlags = false
	if cmd.HasSubCommands() {
		cmd.Args, cmd.SuggestionsMinimumDistance = noVerb, 2
	}
	for _, verb := range cmd.Commands() {
		finish(verb)
	}
}

func has(cmd *cobra.Command, verb string) bool {
	for _, each := range cmd.Commands() {
		if each.Name() == verb {
			return true
		}
	}
	return false
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), cli.Version())
			return err
		},
	}
}

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [VERB]",
		Short: "Explain a verb or a topic",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var names []cobra.Completion
			if about, _, err := cmd.Root().Find(args); err == nil {
				for _, verb := range about.Commands() {
					names = append(names, cobra.CompletionWithDesc(verb.Name(), verb.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return noVerb(about, rest)
			}
			return about.Help()
		},
	}
}

// noVerb refuses arguments of commands that take verbs only.
func noVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := cli.Usagef("%s has no verb %q", cmd.CommandPath(), args[0])
	for _, name := range cmd.SuggestionsFor(args[0]) {
		err.Hint("did you mean this?  " + cmd.CommandPath() + " " + name)
	}
	return err.Hint("see " + cmd.CommandPath() + " --help")
}

// flagError returns the error for a command line that cannot be parsed.
func flagError(cmd *cobra.Command, err error) error {
	failed := cli.FlagError(err)
	if len(cli.Hints(failed)) > 0 {
		return failed
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		for _, name := range similarFlags(cmd, unknown.GetSpecifiedName()) {
			failed.Hint("did you mean --" + name + "?")
		}
	}
	return failed.Hint("see " + cmd.CommandPath() + " --help")
}

// similarFlags returns the names of cmd's flags that are like the mistyped one.
// cobra compares verbs only, so the flags are presented as verbs.
func similarFlags(cmd *cobra.Command, mistyped string) []string {
	if len(mistyped) < 2 {
		return nil
	}
	flags := &cobra.Command{SuggestionsMinimumDistance: 2}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		flags.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}, Hidden: f.Hidden})
	})
	similar := flags.SuggestionsFor(strings.ToLower(mistyped))
	return similar[:min(len(similar), 3)]
}

// groupKey annotates commands that only hold verbs.
const groupKey = "farforge_group"

// Group makes cmd hold verbs. Without a verb, cmd shows its help.
func Group(cmd *cobra.Command, verbs ...*cobra.Command) *cobra.Command {
	cmd.Annotations = map[string]string{groupKey: "true"}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(verbs...)
	return cmd
}

// Values completes a flag with fixed values. It panics if cmd lacks the flag.
func Values(cmd *cobra.Command, flag string, values ...string) {
	Complete(cmd, flag, func(*cobra.Command) []string { return values })
}

// Complete completes a flag with the values that list returns. It panics if cmd
// lacks the flag.
func Complete(cmd *cobra.Command, flag string, list func(*cobra.Command) []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return list(cmd), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(fmt.Sprintf("command: complete --%s of %s: %v", flag, cmd.CommandPath(), err))
	}
}
