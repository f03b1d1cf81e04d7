package cli

import (
	"github.com/spf13/pflag"
)

// Annotations of flags.
const (
	sectionKey = "farforge_section"
	envKey     = "farforge_env"
)

// Section registers flags below a heading of the command's help. It keeps their
// order.
func Section(f *pflag.FlagSet, heading string, register ...func(*pflag.FlagSet)) {
	f.SortFlags = false
	for _, each := range register {
		part := pflag.NewFlagSet(heading, pflag.ContinueOnError)
		part.SortFlags = false
		each(part)
		part.VisitAll(func(flag *pflag.Flag) { annotate(flag, sectionKey, heading) })
		f.AddFlagSet(part)
	}
}

// SectionOf returns the heading of a flag, or "".
func SectionOf(f *pflag.Flag) string { return annotation(f, sectionKey) }

// Env lets an environment variable give a flag its value where the command line
// does not. The flag's help names the variable.
func Env(f *pflag.FlagSet, flag, variable string) {
	found := f.Lookup(flag)
	found.Usage += " (env " + variable + ")"
	annotate(found, envKey, variable)
}

// EnvOf returns the environment variable of a flag, or "".
func EnvOf(f *pflag.Flag) string { return annotation(f, envKey) }

// FromEnvironment sets the flags that the command line does not have from their
// environment variables. An empty variable counts as unset.
func FromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		variable := EnvOf(f)
		if failed != nil || f.Changed || variable == "" {
			return
		}
		if value, ok := lookup(variable); ok && value != "" {
			if err := flags.Set(f.Name, value); err != nil {
				failed = Usagef("the environment variable %s has the value %q: %w", variable, value, FlagError(err))
			}
		}
	})
	return failed
}

// Default sets the text that help shows as a flag's default, where the default
// itself depends on the machine or the user.
func Default(f *pflag.FlagSet, flag, text string) { f.Lookup(flag).DefValue = text }

func annotate(f *pflag.Flag, key, value string) {
	if f.Annotations == nil {
		f.Annotations = map[string][]string{}
	}
	f.Annotations[key] = []string{value}
}

func annotation(f *pflag.Flag, key string) string {
	if values := f.Annotations[key]; len(values) > 0 {
		return values[0]
	}
	return ""
}
