package build

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/farforge/farforge/common/flash/chips"
	"github.com/farforge/farforge/common/flashmap"
)

// name is the form of the names of recipes, targets, toolchains and kinds: that of
// the HTTP API.
var name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$`)

func (r *Recipe) validate() error {
	for _, check := range []func() error{r.validateNames, r.validateToolchain, r.validateProject, r.validateBuild, r.validateOutput} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Recipe) validateNames() error {
	if !name.MatchString(r.Name) {
		return fmt.Errorf("name: %q; letters, digits and . _ + - are allowed", r.Name)
	}
	if len(r.Targets) == 0 {
		return errors.New("targets: none given; name the chips that it builds for")
	}
	for i, t := range r.Targets {
		if !name.MatchString(t) {
			return fmt.Errorf("targets: %q is not a chip name such as esp32c3", t)
		}
		r.Targets[i] = chips.Canonical(t)
	}
	return nil
}

func (r *Recipe) validateToolchain() error {
	t := &r.Toolchain
	if !name.MatchString(t.Name) {
		return fmt.Errorf("toolchain.name: %q; letters, digits and . _ + - are allowed", t.Name)
	}
	if len(t.Detect) == 0 {
		return errors.New("toolchain.detect: no command that prints the toolchain's version")
	}
	for _, argv := range t.Detect {
		if len(argv) == 0 || argv[0] == "" {
			return errors.New("toolchain.detect: an empty command")
		}
	}
	re, err := regexp.Compile(t.Version)
	if err != nil {
		return fmt.Errorf("toolchain.version: %w", err)
	}
	if re.NumSubexp() != 1 {
		return fmt.Errorf("toolchain.version: %q has %d groups; exactly one must hold the version", t.Version, re.NumSubexp())
	}
	for _, p := range t.Paths {
		if !filepath.IsAbs(p) || filepath.Clean(p) != p || p == "/" {
			return fmt.Errorf("toolchain.paths: %q is not an absolute path below /", p)
		}
	}
	return nil
}

func (r *Recipe) validateProject() error {
	p := &r.Project
	if p.Kind != "" && !name.MatchString(p.Kind) {
		return fmt.Errorf("project.kind: %q is not a kind of project such as esp-idf", p.Kind)
	}
	if len(p.Files) == 0 && len(p.Contains) == 0 {
		return errors.New("project: files and contains are empty, so every directory would be recognized")
	}
	for _, f := range p.Files {
		if !fs.ValidPath(f) {
			return fmt.Errorf("project.files: %q is not a path inside the project", f)
		}
	}
	for _, c := range p.Contains {
		if !fs.ValidPath(c.File) || c.Text == "" {
			return fmt.Errorf("project.contains: %q needs a path inside the project and a text", c.File)
		}
	}
	return nil
}

func (r *Recipe) validateBuild() error {
	b := &r.Build
	if len(b.Command) == 0 || b.Command[0] == "" {
		return errors.New("build.command: empty")
	}
	if !fs.ValidPath(b.Out) || b.Out == "." {
		return fmt.Errorf("build.out: %q is not a directory inside the project", b.Out)
	}
	sample := Values{Target: r.Targets[0], Cores: 1, Out: b.Out, Cache: "/cache"}
	if _, err := sample.expandAll(b.Command); err != nil {
		return fmt.Errorf("build.command: %w", err)
	}
	for key, value := range b.Env {
		if _, err := sample.expand(value); err != nil {
			return fmt.Errorf("build.env.%s: %w", key, err)
		}
	}
	return b.validateCache()
}

// validateCache makes sure that a recipe that keeps a folder also passes it to its
// command, and vice versa.
func (b *Command) validateCache() error {
	named := ""
	for _, arg := range b.Command {
		if strings.Contains(arg, cacheWord) {
			named = "command"
		}
	}
	for _, key := range slices.Sorted(maps.Keys(b.Env)) {
		if strings.Contains(b.Env[key], cacheWord) {
			named = "env." + key
		}
	}
	switch {
	case named != "" && !b.Cache:
		return fmt.Errorf("build.%s: {cache} has no meaning here; add cache = true to [build] to keep a folder for the next build", named)
	case named == "" && b.Cache:
		return errors.New("build.cache: neither command nor env has {cache}, so the build would not use the folder; add it there, or leave cache out")
	}
	return nil
}

func (r *Recipe) validateOutput() error {
	patterns := slices.Clone(r.Artifacts.Files)
	if len(patterns) == 0 {
		return errors.New("artifacts.files: none given; name at least one file of the result")
	}
	if r.Artifacts.ELF != "" {
		patterns = append(patterns, r.Artifacts.ELF)
	}
	f := &r.Flash
	if f.FlasherArgs != "" {
		if f.declared() || f.Mode != "" || f.Freq != "" || f.Size != "" {
			return errors.New("flash: flasher_args excludes mode, freq, size and images")
		}
		if !fs.ValidPath(f.FlasherArgs) {
			return fmt.Errorf("flash.flasher_args: %q is not a path below %s", f.FlasherArgs, r.Build.Out)
		}
	}
	for _, image := range f.Images {
		patterns = append(patterns, image.File)
	}
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil || !fs.ValidPath(p) {
			return fmt.Errorf("%q is not a pattern of files below %s", p, r.Build.Out)
		}
	}
	if f.declared() {
		stand := f.layout("", func(im Image) string { return fmt.Sprintf("%x.bin", im.Offset) })
		if err := stand.Validate(); err != nil {
			return fmt.Errorf("flash.images: %w", err)
		}
	}
	return nil
}

// layout makes a flash map of the declared images; file finds their files.
func (f *Flash) layout(chip string, file func(Image) string) *flashmap.Map {
	m := &flashmap.Map{Chip: chip, Mode: f.Mode, Freq: f.Freq, Size: f.Size}
	for _, im := range f.Images {
		m.Images = append(m.Images, flashmap.Image{Name: im.Name, Offset: im.Offset, Path: file(im)})
	}
	slices.SortFunc(m.Images, func(a, b flashmap.Image) int { return int(int64(a.Offset) - int64(b.Offset)) })
	return m
}
