package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/command"
	"github.com/farforge/farforge/proxy-agent/build"
	"github.com/farforge/farforge/proxy-agent/sandbox"
)

func recipesCommand(p program) *cobra.Command {
	var cfg Config
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "recipes",
		Short: "Show which recipes work on this machine, and why others do not",
		Long: `Looks for the toolchain of every recipe inside the sandbox, as the agent does at
its start. doc/recipes.md describes how to write a recipe.`,
		Example: `  proxy-agent recipes
  proxy-agent recipes --recipes ~/recipes --json
  proxy-agent recipes try mine ~/src/blink --recipes ~/recipes`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := cfg.Sandbox.Validate(); err != nil {
				return err
			}
			recipes, err := build.Load(cfg.Build.Dir)
			if err != nil {
				return usage(err, "doc/recipes.md describes the format")
			}
			sb, err := cfg.Sandbox.Open(p.ctx)
			if err != nil {
				return err
			}
			catalog, err := build.Detect(p.ctx, sb, recipes)
			if err != nil {
				return cli.Fail(cli.Usage, err)
			}
			if asJSON {
				return p.printRecipesJSON(catalog)
			}
			p.printRecipes(catalog)
			return nil
		},
	}
	cfg.Build.RegisterRecipes(cmd.Flags())
	cfg.Sandbox.Register(cmd.Flags())
	command.Values(cmd, "sandbox", sandbox.KindBubblewrap, sandbox.KindNone)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	cmd.AddCommand(p.tryCommand())
	return cmd
}

// detect finds the recipes whose toolchains work in the sandbox. A recipe file
// with a mistake is logged and skipped.
func detect(ctx context.Context, cfg *Config, sb sandbox.Sandbox, log *slog.Logger) (*build.Catalog, error) {
	recipes, err := build.Load(cfg.Build.Dir)
	var mistakes build.Mistakes
	switch {
	case errors.As(err, &mistakes):
		for _, mistake := range mistakes {
			log.Error("skipped a recipe file that has a mistake", "error", mistake)
		}
	case err != nil:
		return nil, usage(err, "doc/recipes.md describes the format")
	}
	catalog, err := build.Detect(ctx, sb, recipes)
	if err != nil {
		return nil, cli.Fail(cli.Usage, err)
	}
	return catalog, nil
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
