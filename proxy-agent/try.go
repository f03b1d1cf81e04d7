package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/command"
	"github.com/farforge/farforge/proxy-agent/build"
	"github.com/farforge/farforge/proxy-agent/sandbox"
)

// tryTime bounds a build of recipes try.
const tryTime = time.Hour

func (p program) tryCommand() *cobra.Command {
	var cfg Config
	var target string
	cmd := &cobra.Command{
		Use:   "try NAME DIR",
		Short: "Build a project by a recipe and show each step",
		Long: `Runs all steps of the recipe NAME for the project in DIR, as a job does: it looks for
the toolchain, recognizes the project, builds in the sandbox and collects the
artifacts. It shows each command with its output, and the artifacts. The project is
copied first, so that DIR stays as it is.`,
		Example: `  proxy-agent recipes try esp32c3-baremetal ~/src/blink
  proxy-agent recipes try mine ~/src/blink --recipes ~/recipes --target esp32c3`,
		Args: cobra.ExactArgs(2),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveFilterDirs
			}
			recipes, _ := build.Load(cfg.Build.Dir) // those without a mistake
			return recipeNames(recipes), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := cfg.Sandbox.Validate(); err != nil {
				return err
			}
			if err := cfg.Worker.Validate(); err != nil {
				return err
			}
			return p.try(&cfg, args[0], args[1], target)
		},
	}
	f := cmd.Flags()
	f.StringVar(&target, "target", "", "build for this `CHIP` (default the recipe's, if it has only one)")
	cfg.Build.RegisterRecipes(f)
	cfg.Sandbox.Register(f)
	cfg.Worker.RegisterCapacity(f)
	cfg.Build.RegisterDisk(f)
	command.Values(cmd, "sandbox", sandbox.KindBubblewrap, sandbox.KindNone)
	return cmd
}

func recipeNames(recipes []*build.Recipe) []string {
	var names []string
	for _, r := range recipes {
		names = append(names, r.Name)
	}
	return names
}

// try runs all steps of a recipe.
func (p program) try(cfg *Config, name, dir, target string) error {
	recipes, mistakes := build.Load(cfg.Build.Dir)
	var recipe *build.Recipe
	for _, r := range recipes {
		if r.Name == name {
			recipe = r
		}
	}
	if mistakes != nil && recipe == nil {
		return usage(mistakes, "doc/recipes.md describes the format")
	}
	if recipe == nil {
		return cli.Usagef("there is no recipe %q", name).Hint("the recipes are "+strings.Join(recipeNames(recipes), ", "), "name the folder of your own recipes with --recipes")
	}
	sb, err := cfg.Sandbox.Open(p.ctx)
	if err != nil {
		return err
	}
	p.step("toolchain %s", recipe.Toolchain.Name)
	for _, argv := range recipe.Toolchain.Detect {
		p.say("detect: %s", strings.Join(argv, " "))
	}
	catalog, err := build.Detect(p.ctx, sb, []*build.Recipe{recipe})
	if err != nil {
		return cli.Fail(cli.Usage, err)
	}
	entry := catalog.Entries[0]
	if !entry.Usable() {
		return cli.Usagef("the recipe %s does not work on this machine: %s", name, entry.Missing)
	}
	p.say("version %s", entry.Version)

	temporary, err := os.MkdirTemp("", "farforge-try-")
	if err != nil {
		return usage(fmt.Errorf("make a workspace: %w", err))
	}
	defer func() { _ = os.RemoveAll(temporary) }()
	workspaces, err := build.OpenWorkspaces(filepath.Join(temporary, "workspaces"), nil)
	if err != nil {
		return usage(err)
	}
	defer workspaces.Close()
	ws, err := workspaces.New()
	if err != nil {
		return usage(err)
	}
	return errors.Join(p.tryIn(cfg, sb, catalog, ws, dir, target, filepath.Join(temporary, "cache")), ws.Close())
}

// tryIn copies the project into the workspace and builds it there.
func (p program) tryIn(cfg *Config, sb sandbox.Sandbox, catalog *build.Catalog, ws *build.Workspace, dir, target, cache string) error {
	if err := copyProject(ws.Dir, dir); err != nil {
		return usage(fmt.Errorf("copy the project: %w", err))
	}
	choice, err := catalog.Choose(ws.Root.FS(), build.Want{Recipe: catalog.Entries[0].Recipe.Name, Target: target})
	if err != nil {
		return tried(err)
	}
	p.step("project recognized, target %s", choice.Target)
	allow := build.Allowance{Cores: cfg.Worker.Capacity.Cores, MemoryMB: cfg.Worker.Capacity.MemoryMB, Time: tryTime, Disk: cfg.Build.Disk}
	if choice.Recipe.Build.Cache {
		if err := os.Mkdir(cache, 0o700); err != nil {
			return usage(fmt.Errorf("make a cache: %w", err))
		}
		allow.Cache = cache
	}
	argv, err := choice.Command(sb, allow)
	if err != nil {
		return tried(err)
	}
	p.step("build: %s", strings.Join(argv, " "))
	result, err := choice.Run(p.ctx, sb, ws, allow, func(line sandbox.Line) { fmt.Fprintln(p.stdout, line.Text) })
	if err != nil {
		return tried(err)
	}
	if result.ExitCode != 0 {
		return cli.Failf(cli.BuildFailed, "the build failed: %s exited with %d", argv[0], result.ExitCode)
	}
	p.say("exited with 0 after %v", result.Duration.Round(time.Millisecond))
	artifacts, err := choice.Collect(ws)
	if err != nil {
		return tried(err)
	}
	defer artifacts.Close()
	p.step("artifacts in %s", choice.Recipe.Build.Out)
	for _, a := range artifacts.List {
		p.say("%10d  %s", a.Size, a.Path)
	}
	if artifacts.FlashMap == "" {
		p.say("there is no flash map, so clients can build the project and not flash it")
	}
	return nil
}

// step writes the heading of a step, and say a line below it.
func (p program) step(format string, args ...any) { fmt.Fprintf(p.stdout, "== "+format+"\n", args...) }
func (p program) say(format string, args ...any)  { fmt.Fprintf(p.stdout, "   "+format+"\n", args...) }

// tried gives an error of a step its exit code and hints.
func tried(err error) error {
	var problem *channel.Problem
	if !errors.As(err, &problem) {
		return cli.Fail(cli.BuildFailed, err)
	}
	return cli.Fail(cli.BuildFailed, err, problem.Hints...).WithCode(string(problem.Code))
}

// copyProject copies a project without the folders of Git and Farforge.
func copyProject(to, from string) error {
	if info, err := os.Stat(from); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", from)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(filepath.Join(to, ".git")), os.RemoveAll(filepath.Join(to, ".farforge")))
}
