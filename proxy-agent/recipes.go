package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/proxy-agent/build"
	"github.com/farforge/farforge/proxy-agent/sandbox"
)

func recipesCommand(p program, cfg *Config) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "recipes",
		Short: "Show which recipes work on this machine, and why others do not",
		Long: `Looks for the toolchain of every recipe, inside the sandbox, as the agent does
when it starts. doc/recipes.md describes how to write a recipe.`,
		Example: `  proxy-agent recipes
  proxy-agent recipes --recipes ~/recipes --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := cfg.validateBuild(); err != nil {
				return err
			}
			_, catalog, err := detect(p.ctx, cfg)
			if err != nil {
				return err
			}
			if asJSON {
				return p.printRecipesJSON(catalog)
			}
			p.printRecipes(catalog)
			return nil
		},
	}
	buildFlags(cmd.Flags(), cfg)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return cmd
}

// detect makes the sandbox and finds out what can be built in it.
func detect(ctx context.Context, cfg *Config) (sandbox.Sandbox, *build.Catalog, error) {
	recipes, err := build.Load(cfg.Recipes)
	if err != nil {
		return nil, nil, usage(err, "doc/recipes.md describes the format")
	}
	var sb sandbox.Sandbox = sandbox.None{}
	if cfg.Sandbox == sandboxBubblewrap {
		sb = sandbox.NewBubblewrap(ctx)
	}
	if err := sb.Check(ctx); err != nil {
		var unusable *sandbox.Unusable
		if errors.As(err, &unusable) {
			return nil, nil, usage(err, unusable.Hint(), "or run builds without one, if you trust every client with this account: --sandbox none")
		}
		return nil, nil, err
	}
	catalog, err := build.Detect(ctx, sb, recipes)
	if err != nil {
		return nil, nil, cli.Fail(cli.Usage, err)
	}
	return sb, catalog, nil
}

func (p program) printRecipes(catalog *build.Catalog) {
	for i, e := range catalog.Entries {
		if i > 0 {
			fmt.Fprintln(p.stdout)
		}
		fmt.Fprintf(p.stdout, "%s\n", e.Recipe.Name)
		if e.Recipe.Description != "" {
			fmt.Fprintf(p.stdout, "  %s\n", e.Recipe.Description)
		}
		fmt.Fprintf(p.stdout, "  targets:   %s\n", strings.Join(e.Recipe.Targets, ", "))
		fmt.Fprintf(p.stdout, "  toolchain: %s\n", strings.TrimSpace(e.Recipe.Toolchain.Name+" "+e.Version))
		if e.Usable() {
			fmt.Fprintln(p.stdout, "  works here")
		} else {
			fmt.Fprintf(p.stdout, "  does not work here: %s\n", e.Missing)
		}
	}
}

func (p program) printRecipesJSON(catalog *build.Catalog) error {
	type entry struct {
		Name        string   `json:"name"`
		Description string   `json:"description,omitempty"`
		Source      string   `json:"source"`
		Targets     []string `json:"targets"`
		Toolchain   string   `json:"toolchain"`
		Version     string   `json:"version,omitempty"`
		Usable      bool     `json:"usable"`
		Missing     string   `json:"missing,omitempty"`
	}
	all := []entry{}
	for _, e := range catalog.Entries {
		all = append(all, entry{
			Name: e.Recipe.Name, Description: e.Recipe.Description, Source: e.Recipe.Source,
			Targets: e.Recipe.Targets, Toolchain: e.Recipe.Toolchain.Name,
			Version: e.Version, Usable: e.Usable(), Missing: e.Missing,
		})
	}
	out := json.NewEncoder(p.stdout)
	out.SetIndent("", "  ")
	return out.Encode(all)
}
