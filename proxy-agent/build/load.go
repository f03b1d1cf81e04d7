package build

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// shipped are the recipes that come with the agent.
//
//go:embed recipes/*.toml
var shipped embed.FS

// Mistakes are the errors in the operator's recipe files.
type Mistakes []error

func (m Mistakes) Error() string { return errors.Join(m...).Error() }

// Load returns the operator's own recipes, from the *.toml files of dir, and
// after them those that come with the agent. A recipe of the operator's replaces
// a shipped one of the same name. An empty dir means that there are none of the
// operator's. If files have mistakes, Load returns the other recipes and a
// Mistakes with one error for each of these files.
func Load(dir string) ([]*Recipe, error) {
	var own []*Recipe
	var mistakes Mistakes
	if dir != "" {
		if _, err := os.ReadDir(dir); err != nil {
			return nil, fmt.Errorf("read the recipes: %w", err)
		}
		own, mistakes = loadFS(os.DirFS(dir), ".", dir+string(os.PathSeparator))
	}
	ours, broken := loadFS(shipped, "recipes", "")
	if broken != nil {
		return nil, broken
	}
	seen := map[string]string{}
	var all []*Recipe
	for _, r := range own {
		if first, ok := seen[r.Name]; ok {
			mistakes = append(mistakes, fmt.Errorf("%s: the recipe name %q is already that of %s", r.Source, r.Name, first))
			continue
		}
		seen[r.Name] = r.Source
		all = append(all, r)
	}
	for _, r := range ours {
		if _, ok := seen[r.Name]; !ok {
			all = append(all, r)
		}
	}
	if mistakes != nil {
		return all, mistakes
	}
	return all, nil
}

func loadFS(fsys fs.FS, dir, prefix string) ([]*Recipe, Mistakes) {
	names, err := fs.Glob(fsys, path.Join(dir, "*.toml"))
	if err != nil {
		return nil, Mistakes{fmt.Errorf("read the recipes: %w", err)}
	}
	var recipes []*Recipe
	var mistakes Mistakes
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err == nil {
			var r *Recipe
			if r, err = Parse(prefix+name, data); err == nil {
				recipes = append(recipes, r)
				continue
			}
		}
		mistakes = append(mistakes, err)
	}
	return recipes, mistakes
}
