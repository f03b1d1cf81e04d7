package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/command"
	"github.com/farforge/farforge/common/wholefile"
)

func (a *app) configCommand() *cobra.Command {
	return command.Group(&cobra.Command{
		Use:   "config",
		Short: "Show and change your settings",
		Long: `Show and change settings: the broker's URL and other values that you would otherwise
repeat on every command line. They are in config.toml in your configuration folder;
their names are those of the flags of client run.

A value comes from the first of these that has it: the command line, the
environment, the project's farforge.toml, your settings, the default.`,
		Example: `  client config set url https://broker.example.org
  client config set tag eu reviewed
  client config show
  client config unset tag`,
	}, a.showConfigCommand(), a.setConfigCommand(), a.unsetConfigCommand())
}

func (a *app) showConfigCommand() *cobra.Command {
	var c runConfig
	cmd := &cobra.Command{
		Use:   "show [DIR]",
		Short: "Show all values and their origins",
		Long: `Show the values that client run would use for the project in DIR, or in the
current folder, and the origin of each. All flags of client run are accepted.`,
		Args: folderArg,
		RunE: func(cmd *cobra.Command, _ []string) error {
			listed := []console.Setting{}
			configurable().VisitAll(func(known *pflag.Flag) {
				f := cmd.Flags().Lookup(known.Name)
				s := console.Setting{Name: f.Name, Value: strings.Trim(f.Value.String(), "[]"), Origin: a.settings.origins[f.Name]}
				if s.Origin == "" {
					s.Origin = "default"
				}
				listed = append(listed, s)
				if s.Value != "" {
					a.ui.Result("%-20s %-24s %s", s.Name, s.Value, s.Origin)
				}
			})
			a.ui.Done(console.Report{Settings: &listed})
			return nil
		},
	}
	c.register(cmd.Flags())
	return cmd
}

func (a *app) setConfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "set NAME VALUE...",
		Short:             "Change a setting",
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: completeSettings,
		RunE: func(_ *cobra.Command, args []string) error {
			name, values := args[0], args[1:]
			if err := checkSetting(name, values); err != nil {
				return err
			}
			if kind := configurable().Lookup(name).Value.Type(); len(values) > 1 && !strings.HasSuffix(kind, "Array") && !strings.HasSuffix(kind, "Slice") {
				return usage("%s has one value, not %d", name, len(values))
			}
			var line bytes.Buffer
			value := any(values[0])
			if len(values) > 1 {
				value = values
			}
			if err := toml.NewEncoder(&line).Encode(map[string]any{name: value}); err != nil {
				return cli.Fail(cli.Usage, err)
			}
			if err := editSettings(name, strings.TrimSpace(line.String())); err != nil {
				return err
			}
			a.ui.Done(console.Report{})
			return nil
		},
	}
}

func (a *app) unsetConfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "unset NAME",
		Short:             "Remove a setting",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeSettings,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := editSettings(args[0], ""); err != nil {
				return err
			}
			a.ui.Done(console.Report{})
			return nil
		},
	}
}

// editSettings replaces the line of a setting, or appends the line. An empty line
// removes the setting.
func editSettings(name, line string) error {
	path, err := settingsFile()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cli.Usagef("read the settings: %w", err)
	}
	old := regexp.MustCompile(`(?m)^[ \t]*"?` + regexp.QuoteMeta(name) + `"?[ \t]*=.*(\n|\z)`)
	if line != "" {
		line += "\n"
	}
	found := false
	edited := old.ReplaceAllStringFunc(string(text), func(string) string { found = true; return line })
	switch {
	case !found && line == "":
		return cli.Usagef("the setting %q is not in %s", name, path).Hint("see client config show")
	case !found:
		if edited != "" && !strings.HasSuffix(edited, "\n") {
			edited += "\n"
		}
		edited += line
	}
	if _, err := parseSettings([]byte(edited)); err != nil {
		return cli.Fail(cli.Usage, fmt.Errorf("change %s: %w", path, err), "edit the file yourself")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return cli.Usagef("write the settings: %w", err)
	}
	if err := wholefile.Write(path, []byte(edited), 0o600); err != nil {
		return cli.Usagef("write the settings: %w", err)
	}
	return nil
}

func completeSettings(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	if len(args) == 0 {
		configurable().VisitAll(func(f *pflag.Flag) {
			_, text := pflag.UnquoteUsage(f)
			names = append(names, cobra.CompletionWithDesc(f.Name, text))
		})
	}
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoFileComp
}
