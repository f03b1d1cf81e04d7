package build

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// shipped holds the recipes that come with the agent.
//
//go:embed recipes/*.toml
var shipped embed.FS

// Load returns the operator's own recipes, from the *.toml files of dir, and
// behind them those that come with the agent. A recipe of the operator's
// replaces a shipped one of the same name. An empty dir means none of his own.
// Every mistake in any file is reported, not only the first.
func Load(dir string) ([]*Recipe, error) {
	var own []*Recipe
	if dir != "" {
		if _, err := os.ReadDir(dir); err != nil {
			return nil, fmt.Errorf("read the recipes: %w", err)
		}
		var err error
		if own, err = loadFS(os.DirFS(dir), ".", dir+string(os.PathSeparator)); err != nil {
			return nil, err
		}
	}
	ours, err := loadFS(shipped, "recipes", "")
	if err != nil {
		return nil, err
	}
	seen := map[string]string{}
	var all []*Recipe
	for _, r := range own {
		if first, ok := seen[r.Name]; ok {
			return nil, fmt.Errorf("%s: the recipe name %q is already that of %s", r.Source, r.Name, first)
		}
		seen[r.Name] = r.Source
		all = append(all, r)
	}
	for _, r := range ours {
		if _, ok := seen[r.Name]; !ok {
			all = append(all, r)
		}
	}
	return all, nil
}

func loadFS(fsys fs.FS, dir, prefix string) ([]*Recipe, error) {
	names, err := fs.Glob(fsys, path.Join(dir, "*.toml"))
	if err != nil {
		return nil, fmt.Errorf("read the recipes: %w", err)
	}
	var recipes []*Recipe
	var mistakes []error
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
	return recipes, errors.Join(mistakes...)
}
