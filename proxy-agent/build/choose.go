package build

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/toolchain"
)

// Want is what the client wants; empty fields accept anything.
type Want struct {
	Target    string
	Toolchain string // see common/toolchain
	Recipe    string
}

// Choice is the recipe for a job and the target it builds for.
type Choice struct {
	Entry
	Target string
}

// recognitionBytes bounds how far into a file the agent looks for a recipe's text.
const recognitionBytes = 1 << 20

// Choose finds the first usable recipe that fits want and recognizes project.
// If there is none, the error is a *channel.Problem that says what the recipes
// here look for.
func (c *Catalog) Choose(project fs.FS, want Want) (*Choice, error) {
	chain, err := toolchain.Parse(want.Toolchain)
	if err != nil {
		return nil, &channel.Problem{Code: channel.ProblemNoRecipe, Message: "the requested toolchain: " + err.Error()}
	}
	var near []string
	for _, e := range c.Entries {
		reason := e.fits(want, &chain)
		if reason == "" {
			reason = e.Recipe.recognize(project)
		}
		if reason != "" {
			near = append(near, fmt.Sprintf("%s %s", e.Recipe.Name, reason))
			continue
		}
		target := want.Target
		if target == "" {
			if len(e.Recipe.Targets) > 1 {
				return nil, &channel.Problem{
					Code:    channel.ProblemNoRecipe,
					Message: fmt.Sprintf("the recipe %s builds for several chips and the request names none", e.Recipe.Name),
					Hints:   []string{"name one of them as the target: " + strings.Join(e.Recipe.Targets, ", ")},
				}
			}
			target = e.Recipe.Targets[0]
		}
		return &Choice{Entry: e, Target: target}, nil
	}
	return nil, &channel.Problem{
		Code:    channel.ProblemNoRecipe,
		Message: "no recipe on this agent recognizes the project" + want.describe(),
		Hints:   near,
	}
}

// fits returns "" if the entry fits want, or the reason why it does not.
func (e *Entry) fits(want Want, chain *toolchain.Requirement) string {
	switch {
	case want.Recipe != "" && want.Recipe != e.Recipe.Name:
		return "is not the requested recipe"
	case want.Target != "" && !slices.Contains(e.Recipe.Targets, want.Target):
		return "builds for " + strings.Join(e.Recipe.Targets, ", ")
	case chain.Name != "" && chain.Name != e.Recipe.Toolchain.Name:
		return "uses the toolchain " + e.Recipe.Toolchain.Name
	case !e.Usable():
		return "cannot be used here: " + e.Missing
	case !chain.Accepts(e.Version):
		return fmt.Sprintf("has version %s of %s", e.Version, chain.Name)
	}
	return ""
}

func (w Want) describe() string {
	var parts []string
	for _, p := range [...][2]string{{"recipe", w.Recipe}, {"target", w.Target}, {"toolchain", w.Toolchain}} {
		if p[1] != "" {
			parts = append(parts, p[0]+" "+p[1])
		}
	}
	if parts == nil {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// recognize returns "" if the recipe recognizes the project, or what is missing.
func (r *Recipe) recognize(project fs.FS) string {
	for _, f := range r.Project.Files {
		if info, err := fs.Stat(project, f); err != nil || !info.Mode().IsRegular() {
			return "looks for a file " + f
		}
	}
	for _, c := range r.Project.Contains {
		if found, err := fileContains(project, c.File, c.Text); err != nil || !found {
			return fmt.Sprintf("looks for %q in %s", c.Text, c.File)
		}
	}
	return ""
}

func fileContains(project fs.FS, path, text string) (bool, error) {
	info, err := fs.Stat(project, path)
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, errors.New("not a regular file")
	}
	f, err := project.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, recognitionBytes))
	return bytes.Contains(data, []byte(text)), err
}
