package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/proxy-agent/sandbox"
)

// Entry is a recipe, and whether it works on this machine.
type Entry struct {
	Recipe *Recipe
	// Version of the toolchain; empty when the recipe cannot be used.
	Version string
	// Missing says why the recipe cannot be used; empty when it can.
	Missing string
}

// Usable reports whether the recipe works here.
func (e *Entry) Usable() bool { return e.Missing == "" }

// Catalog is what an agent can build. It does not change, so it is safe for
// concurrent use.
type Catalog struct {
	Entries []Entry
}

// detectTime bounds one detection command.
const detectTime = 30 * time.Second

// Detect looks for every recipe's toolchain, inside the sandbox, because builds
// see only what is there.
func Detect(ctx context.Context, sb sandbox.Sandbox, recipes []*Recipe) (*Catalog, error) {
	dir, err := os.MkdirTemp("", "farforge-detect-")
	if err != nil {
		return nil, fmt.Errorf("look for toolchains: %w", err)
	}
	defer os.RemoveAll(dir)
	c := &Catalog{}
	for _, r := range recipes {
		e := Entry{Recipe: r}
		e.Version, err = r.detect(ctx, sb, dir)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("look for toolchains: %w", context.Cause(ctx))
		}
		if err != nil {
			e.Missing = err.Error()
		}
		c.Entries = append(c.Entries, e)
	}
	return c, nil
}

func (r *Recipe) detect(ctx context.Context, sb sandbox.Sandbox, dir string) (string, error) {
	for _, p := range r.Toolchain.Paths {
		if _, err := os.Stat(p); err != nil {
			return "", fmt.Errorf("the directory %s is missing", p)
		}
	}
	needs := slices.Concat([]string{r.Build.Command[0]}, r.Toolchain.Needs)
	if !placeholder.MatchString(needs[0]) && !strings.HasPrefix(needs[0], "./") {
		// "command -v" prints nothing for a command that does not exist.
		const script = `for c; do command -v "$c" >/dev/null || { echo "$c"; exit 1; }; done`
		out, code, err := r.try(ctx, sb, dir, append([]string{"sh", "-c", script, "sh"}, needs...))
		if err != nil {
			return "", err
		}
		if code != 0 {
			return "", fmt.Errorf("the command %s is missing", strings.TrimSpace(out))
		}
	}
	version := regexp.MustCompile(r.Toolchain.Version) // validate has compiled it
	var why error
	for _, argv := range r.Toolchain.Detect {
		out, code, err := r.try(ctx, sb, dir, argv)
		switch {
		case err != nil:
			why = err
		case code == 127:
			why = fmt.Errorf("the command %s is missing", argv[0])
		case code != 0:
			why = fmt.Errorf("%s exited with %d%s", strings.Join(argv, " "), code, lastWords(out))
		default:
			if m := version.FindStringSubmatch(out); m != nil && m[1] != "" {
				return m[1], nil
			}
			why = fmt.Errorf("%s printed nothing that %q matches%s", strings.Join(argv, " "), r.Toolchain.Version, lastWords(out))
		}
	}
	return "", why
}

// lastWords quotes the last line that a command printed.
func lastWords(out string) string {
	out = strings.TrimSpace(out)
	if out == "" {
		return ""
	}
	return fmt.Sprintf("; it printed %.200q", out[strings.LastIndexByte(out, '\n')+1:])
}

func (r *Recipe) try(ctx context.Context, sb sandbox.Sandbox, dir string, argv []string) (string, int, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, detectTime, errors.New("it did not end in "+detectTime.String()))
	defer cancel()
	var out strings.Builder
	result, err := sb.Run(ctx, sandbox.Spec{
		Dir: dir, Argv: argv, Env: r.Toolchain.Env, ReadOnly: r.Toolchain.Paths,
		Limits: sandbox.Limits{OutputBytes: 64 << 10},
		Output: func(l sandbox.Line) { out.WriteString(l.Text + "\n") },
	})
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return out.String(), result.ExitCode, nil
}

// Recipes returns the recipes that work here, as a status announces them. It
// returns nil if one of them names no kind of project: then a broker must not
// conclude what the agent cannot build.
func (c *Catalog) Recipes() []api.Recipe {
	all := []api.Recipe{}
	for _, e := range c.Entries {
		if !e.Usable() {
			continue
		}
		if e.Recipe.Project.Kind == "" || len(all) == api.MaxRecipes {
			return nil
		}
		all = append(all, api.Recipe{
			Name: e.Recipe.Name, Kind: e.Recipe.Project.Kind, Targets: e.Recipe.Targets,
			Toolchains: []string{e.Recipe.Toolchain.Name + "@" + e.Version},
		})
	}
	return all
}

// Capabilities lists the targets and toolchains of this machine, in a stable
// order and without duplicates.
func (c *Catalog) Capabilities() []api.Capability {
	var all []api.Capability
	for _, e := range c.Entries {
		if !e.Usable() {
			continue
		}
		for _, target := range e.Recipe.Targets {
			capability := api.Capability{Target: target, Toolchain: e.Recipe.Toolchain.Name, Version: e.Version}
			if !slices.Contains(all, capability) {
				all = append(all, capability)
			}
		}
	}
	return all
}
