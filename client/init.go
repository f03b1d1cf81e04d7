package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/client/project"
	"github.com/farforge/farforge/client/remote"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/wholefile"
)

// maxHint bounds the part of a project's own files that is searched for the
// target, in bytes.
const maxHint = 64 << 10

// targetHints are where projects of each kind name their chip. The first group of
// the pattern is the chip.
func targetHints(kind project.Kind) (files []string, pattern string) {
	switch kind {
	case project.ESPIDF:
		return []string{"sdkconfig", "sdkconfig.defaults"}, `(?m)^CONFIG_IDF_TARGET="([a-z0-9]+)"`
	case project.PlatformIO:
		return []string{"platformio.ini"}, `(?m)^\s*board_build\.mcu\s*=\s*([A-Za-z0-9]+)`
	case project.ESPHome:
		return []string{"*.yaml", "*.yml"}, `(?mi)^\s+variant:\s*"?([a-z0-9-]+)`
	}
	return nil, ""
}

func (a *app) initCommand() *cobra.Command {
	var o remote.Options
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a farforge.toml for the project",
		Long: `Find out the kind of the project in DIR, or in the current folder, such as ESP-IDF
or PlatformIO, and write a farforge.toml for it. The target comes from --target, or
from the project's own files where they name it. An existing farforge.toml stays.`,
		Args: folderArg,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := o.ValidateAble(); err != nil {
				return err
			}
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			made, err := initProject(dir, o.Target)
			if err != nil {
				return err
			}
			a.ui.Say("wrote %s for the %s project", made.File, project.Kind(made.Kind).Title())
			if made.Target == "" {
				a.ui.Say("its target is unknown; set it in the file if an agent builds for several chips")
			}
			a.ui.Done(console.Report{Init: made})
			return nil
		},
	}
	o.RegisterTarget(cmd.Flags())
	return cmd
}

// initProject writes the project file.
func initProject(dir, target string) (*console.Initialized, error) {
	path := filepath.Join(dir, project.ConfigName)
	if _, err := os.Lstat(path); err == nil {
		return nil, cli.Usagef("%s already exists", path).Hint("edit it, or remove it first")
	}
	p, err := project.Open(dir)
	if err != nil {
		return nil, err
	}
	kind := p.Kind
	if err := p.Close(); err != nil {
		return nil, cli.Fail(cli.Usage, err)
	}
	if kind == "" {
		return nil, cli.Usagef("the kind of the project in %s is unknown", dir).
			Hint("name the folder that has its CMakeLists.txt, platformio.ini, Cargo.toml, Makefile, sketch or ESPHome file",
				"or write "+project.ConfigName+" yourself; doc/client.md describes its keys")
	}
	if target == "" {
		target = findTarget(dir, kind)
	}
	text := fmt.Sprintf("# How Farforge builds this %s project; doc/client.md describes the keys.\n", kind.Title())
	if target != "" {
		text += fmt.Sprintf("target = %q\n", target)
	} else {
		text += "# target = \"esp32c3\"\n"
	}
	text += "# toolchain = \"NAME@VERSION\"   # see client agents\n"
	if _, err := project.ParseConfig([]byte(text)); err != nil {
		return nil, cli.Usagef("--target: %w", err)
	}
	if err := wholefile.Create(path, []byte(text), 0o644); err != nil {
		return nil, cli.Usagef("write the project file: %w", err)
	}
	return &console.Initialized{File: path, Kind: string(kind), Target: target}, nil
}

// findTarget returns the chip that the project's own files name, or "".
func findTarget(dir string, kind project.Kind) string {
	globs, pattern := targetHints(kind)
	for _, glob := range globs {
		files, _ := filepath.Glob(filepath.Join(dir, glob)) // the patterns are valid
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue // another file may name it
			}
			if m := regexp.MustCompile(pattern).FindSubmatch(text[:min(len(text), maxHint)]); m != nil {
				return strings.ReplaceAll(strings.ToLower(string(m[1])), "-", "")
			}
		}
	}
	return ""
}
