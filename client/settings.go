package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/farforge/farforge/client/project"
	"github.com/farforge/farforge/client/trust"
	"github.com/farforge/farforge/common/cli"
)

// settingsName is the user's settings file, beside known_agents.
const settingsName = "config.toml"

// maxSettings bounds the user's settings file, in bytes.
const maxSettings = 64 << 10

// settings holds the origins of the values of a verb's flags. The sources, in the
// order of precedence, are
//
//	the command line
//	the environment      FARFORGE_URL
//	the project file     farforge.toml in the project's folder
//	the user's settings  ~/.config/farforge/config.toml
//	the flag's default
type settings struct {
	origins map[string]string // by flag; flags with defaults are missing
}

// settle sets the flags of cmd that the command line does not have.
func (s *settings) settle(cmd *cobra.Command, args []string) error {
	s.origins = map[string]string{}
	flags := cmd.Flags()
	flags.Visit(func(f *pflag.Flag) { s.origins[f.Name] = "the command line" })
	if err := cli.FromEnvironment(flags, os.LookupEnv); err != nil {
		return err
	}
	flags.Visit(func(f *pflag.Flag) {
		if s.origins[f.Name] == "" {
			s.origins[f.Name] = "the environment variable " + cli.EnvOf(f)
		}
	})
	if flags.Lookup("recipe") != nil && !flags.Changed("source-url") {
		if err := s.fromProject(flags, folder(args)); err != nil {
			return err
		}
	}
	return s.fromUser(flags)
}

// fromProject takes values from the project file. It ignores a folder that is missing
// or is a file, because the verb reports that.
func (s *settings) fromProject(flags *pflag.FlagSet, dir string) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil
	}
	p, err := project.Open(dir)
	if err != nil {
		return err
	}
	if err := p.Close(); err != nil {
		return cli.Fail(cli.Usage, err)
	}
	c := p.Config
	values := map[string][]string{"tag": c.Tags}
	for key, text := range map[string]string{
		"target": c.Target, "toolchain": c.Toolchain, "recipe": c.Recipe, "memory": c.Memory.String(), "timeout": c.Timeout.String(),
	} {
		if text != "" {
			values[key] = []string{text}
		}
	}
	if c.Cores != 0 {
		values["cores"] = []string{fmt.Sprint(c.Cores)}
	}
	return s.take(flags, values, filepath.Join(dir, project.ConfigName))
}

// fromUser takes values from the user's settings.
func (s *settings) fromUser(flags *pflag.FlagSet) error {
	path, err := settingsFile()
	if err != nil {
		return nil // without a home folder there are no settings
	}
	values, err := readSettings(path)
	if err != nil {
		return err
	}
	return s.take(flags, values, path)
}

// take sets flags that no earlier source has set. It leaves Changed false, which
// stands for the command line and the environment.
func (s *settings) take(flags *pflag.FlagSet, values map[string][]string, origin string) error {
	for name, texts := range values {
		f := flags.Lookup(name)
		if f == nil || s.origins[name] != "" || len(texts) == 0 {
			continue
		}
		for _, text := range texts {
			if err := f.Value.Set(text); err != nil {
				return cli.Usagef("%s: %s: %w", origin, name, err)
			}
		}
		s.origins[name] = origin
	}
	return nil
}

// settingsFile returns the path of the user's settings.
func settingsFile() (string, error) {
	known, err := trust.DefaultFile(os.Getenv)
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(known), settingsName), nil
}

// readSettings reads a settings file, which need not exist. Its keys are names of
// flags of client run; see [configurable].
func readSettings(path string) (map[string][]string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, cli.Usagef("read the settings: %w", err)
	}
	values, err := parseSettings(text)
	if err != nil {
		return nil, cli.Fail(cli.Usage, fmt.Errorf("%s: %w", path, err), "correct the file, or remove the key:  client config unset KEY")
	}
	return values, nil
}

// parseSettings parses the text of a settings file.
func parseSettings(text []byte) (map[string][]string, error) {
	if len(text) > maxSettings {
		return nil, fmt.Errorf("it is longer than %d bytes", maxSettings)
	}
	var raw map[string]any
	text = []byte(strings.TrimPrefix(string(text), "\ufeff"))
	if err := toml.Unmarshal(text, &raw); err != nil {
		var decode *toml.DecodeError
		if errors.As(err, &decode) {
			row, _ := decode.Position()
			return nil, fmt.Errorf("line %d: %s", row, strings.TrimPrefix(decode.Error(), "toml: "))
		}
		return nil, err
	}
	values := map[string][]string{}
	for name, value := range raw {
		words, ok := value.([]any)
		if !ok {
			words = []any{value}
		}
		for _, word := range words {
			switch word.(type) {
			case string, int64, bool:
				values[name] = append(values[name], fmt.Sprint(word))
			default:
				return nil, fmt.Errorf("%s: the value is not a string, a number, true, false or a list of strings", name)
			}
		}
		if err := checkSetting(name, values[name]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// configurable returns new flags that a settings file may give values to.
func configurable() *pflag.FlagSet {
	var c runConfig
	all, some := pflag.NewFlagSet("client run", pflag.ContinueOnError), pflag.NewFlagSet("settings", pflag.ContinueOnError)
	c.register(all)
	some.SortFlags = false
	all.VisitAll(func(f *pflag.Flag) {
		once := []string{"out", "explain", "agent", "exclude-agent"} // about one job
		if section := cli.SectionOf(f); section != "Source by URL" && section != "Monitor" && !slices.Contains(once, f.Name) {
			some.AddFlag(f)
		}
	})
	return some
}

// checkSetting reports a key that is unknown or a value that its flag refuses.
func checkSetting(name string, values []string) error {
	flags := configurable()
	f := flags.Lookup(name)
	if f == nil {
		var names []string
		flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		return cli.Usagef("there is no setting %q", name).Hint("the settings are " + strings.Join(names, ", "))
	}
	for _, value := range values {
		if err := flags.Set(name, value); err != nil {
			return cli.FlagError(err)
		}
	}
	return nil
}
