package command

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/cli"
)

// help writes what --help shows.
func help(cmd *cobra.Command, _ []string) {
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s\n", strings.TrimSpace(text))
	if cmd.Runnable() || cmd.HasSubCommands() {
		fmt.Fprintln(cmd.OutOrStdout())
		write(cmd.OutOrStdout(), cmd)
	}
}

func usage(cmd *cobra.Command) error {
	write(cmd.OutOrStderr(), cmd)
	return nil
}

func write(w io.Writer, cmd *cobra.Command) {
	fmt.Fprint(w, "Usage:\n")
	if cmd.Runnable() && cmd.Annotations[groupKey] == "" {
		fmt.Fprintf(w, "  %s\n", cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "  %s VERB\n", cmd.CommandPath())
	}
	if cmd.HasExample() {
		fmt.Fprintf(w, "\nExamples:\n%s\n", cmd.Example)
	}
	var verbs, topics []string
	for _, each := range cmd.Commands() {
		line := fmt.Sprintf("  %-12s %s\n", each.Name(), each.Short)
		switch {
		case each.IsAdditionalHelpTopicCommand() && !each.Hidden:
			topics = append(topics, line)
		case each.IsAvailableCommand():
			verbs = append(verbs, line)
		}
	}
	if len(verbs) > 0 {
		fmt.Fprintf(w, "\nVerbs:\n%s", strings.Join(verbs, ""))
	}
	if len(topics) > 0 {
		fmt.Fprintf(w, "\nTopics, see %s help TOPIC:\n%s", cmd.Root().Name(), strings.Join(topics, ""))
	}
	for _, s := range Sections(cmd) {
		fmt.Fprintf(w, "\n%s:\n%s", s.Heading, s.Flags.FlagUsages())
	}
}

// FlagSection is the flags of a command below one heading.
type FlagSection struct {
	Heading string
	Flags   *pflag.FlagSet
}

// Headings of flags that no [cli.Section] defines.
const (
	ownFlags = "Flags"
	// SharedFlags is the heading of the parents' flags.
	SharedFlags = "Flags of every verb"
)

// Sections returns a command's visible flags by headings, in the order of their
// definition; those without a heading and those of the parents come last.
func Sections(cmd *cobra.Command) []FlagSection {
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	var sections, last []FlagSection
	add := func(to []FlagSection, heading string, original *pflag.Flag) []FlagSection {
		f := new(pflag.Flag)
		if *f = *original; f.Value.Type() == "bool" {
			f.Value, f.NoOptDefVal = plainValue{f.Value}, ""
		}
		for _, s := range to {
			if s.Heading == heading {
				s.Flags.AddFlag(f)
				return to
			}
		}
		set := pflag.NewFlagSet(heading, pflag.ContinueOnError)
		set.SortFlags = false
		set.AddFlag(f)
		return append(to, FlagSection{heading, set})
	}
	each := func(heading string) func(*pflag.Flag) {
		return func(f *pflag.Flag) {
			switch {
			case f.Hidden:
			case cli.SectionOf(f) != "":
				sections = add(sections, cli.SectionOf(f), f)
			default:
				last = add(last, heading, f)
			}
		}
	}
	cmd.LocalFlags().VisitAll(each(ownFlags))
	cmd.InheritedFlags().VisitAll(each(SharedFlags))
	return append(sections, last...)
}

// plainValue hides from pflag that a value is a bool, for which it would write
// [=true|false].
type plainValue struct{ pflag.Value }
