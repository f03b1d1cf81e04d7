package project

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
)

// walker collects the files of a project, without their hashes.
type walker struct {
	ctx     context.Context
	p       *Project
	outputs []string
	above   []string // folders between the repository's top and the project
	files   []channel.File
}

func (p *Project) walk(ctx context.Context) ([]channel.File, error) {
	above, between, err := rulesAbove(ctx, p.Dir, p.warn)
	if err != nil {
		return nil, cli.Fail(cli.Usage, err)
	}
	w := &walker{ctx: ctx, p: p, above: between, outputs: p.Config.Outputs}
	above = &rules{parent: above, depth: len(between), made: p.Kind.outputs(p.root.FS())}
	if err := w.folder(nil, above, false); err != nil {
		return nil, err
	}
	return w.files, nil
}

// folder adds the entries of the folder whose path has the given parts. In a folder
// that git ignores, only tracked entries are added.
func (w *walker) folder(parts []string, above *rules, ignored bool) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	name := path.Join(parts...)
	entries, err := fs.ReadDir(w.p.root.FS(), cmp.Or(name, "."))
	if err != nil {
		return refuse(cmp.Or(name, "."), "the folder cannot be read: %w", reason(err))
	}
	here, err := w.rules(entries, parts, above)
	if err != nil {
		return err
	}
	for _, e := range entries {
		at := append(slices.Clone(parts), e.Name())
		file := path.Join(at...)
		if e.Name() == gitName || e.Name() == StateName || slices.Contains(w.outputs, file) {
			continue
		}
		wanted, within := w.judge(here, at, e.IsDir(), ignored)
		switch {
		case !wanted:
			continue
		case e.IsDir():
			err = w.folder(at, here, within)
		default:
			err = w.file(file, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// judge reports whether an entry is sent, and for a folder whether only its tracked
// entries are. ignored is set in a folder that git ignores.
func (w *walker) judge(here *rules, at []string, dir, ignored bool) (wanted, within bool) {
	whole := append(slices.Clone(w.above), at...)
	switch here.ownVerdict(whole, dir) {
	case in:
		return true, false
	case out:
		return false, false
	}
	repo, name := here.repository(whole)
	tracked := repo.tracked
	if tracked == nil {
		tracked = &index{}
	}
	if tracked.files[name] || tracked.modules[name] {
		return true, false
	}
	if ignored || here.gitVerdict(whole, dir) == out {
		return dir && tracked.folders[name], true
	}
	return true, false
}

// rules reads the ignore files of a folder. At the top of another repository, the
// rules of git above it end.
func (w *walker) rules(entries []fs.DirEntry, parts []string, above *rules) (*rules, error) {
	here := &rules{parent: above, depth: len(w.above) + len(parts)}
	dir := filepath.Join(w.p.Dir, filepath.Join(parts...))
	if len(parts) > 0 && slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == gitName }) && isRepository(dir) {
		here.repo = openRepository(w.ctx, dir, w.p.warn)
	}
	repo, _ := here.repository(append(slices.Clone(w.above), parts...))
	for _, e := range entries {
		var into *[]pattern
		switch e.Name() {
		case gitIgnoreName:
			into = &here.git
		case IgnoreName:
			into = &here.own
		default:
			continue
		}
		at := path.Join(append(slices.Clone(parts), e.Name())...)
		switch {
		case e.Type()&fs.ModeSymlink != 0:
			w.p.warn(linkedRules(at))
			continue
		case !e.Type().IsRegular():
			continue
		}
		text, err := w.p.root.ReadFile(at)
		if err != nil {
			return nil, cli.Failf(cli.Usage, "cannot read the ignore rules in %s: %w", at, reason(err))
		}
		*into = parsePatterns(string(text), repo.foldCase)
	}
	return here, nil
}

func (w *walker) file(at string, e fs.DirEntry) error {
	if len(w.files) == channel.MaxFiles {
		return cli.Failf(cli.Usage, "%s holds more than %d files", w.p.Dir, channel.MaxFiles).
			Hint("check that it is the folder of one project", "leave folders out with rules in "+IgnoreName)
	}
	info, err := e.Info()
	if err != nil {
		return refuse(at, "its size and mode cannot be read: %w", reason(err))
	}
	f := channel.File{Path: at, Kind: channel.KindFile, Size: info.Size()}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		if mode&0o100 != 0 {
			f.Kind = channel.KindExecutable
		}
	case mode&fs.ModeSymlink != 0:
		if f, err = w.link(at); err != nil {
			return err
		}
	default:
		return refuse(at, "it is %s, not a file", special(mode))
	}
	w.files = append(w.files, f)
	return nil
}

// link reads a symlink and refuses one that leads out of the project.
func (w *walker) link(at string) (channel.File, error) {
	target, err := w.p.root.Readlink(at)
	if err != nil {
		return channel.File{}, refuse(at, "the symlink cannot be read: %w", reason(err))
	}
	f := channel.File{Path: at, Kind: channel.KindSymlink, Link: plainLink(filepath.ToSlash(target))}
	alone := channel.Manifest{Files: []channel.File{f}}
	if alone.Validate() == nil {
		return f, nil
	}
	if filepath.IsAbs(target) {
		return f, refuse(at, "it is a symlink to the absolute path %s, which does not exist on the agent", target).
			Hint("make it relative if the target is in the project")
	}
	return f, refuse(at, "it is a symlink to %s, which can lead out of the project", target)
}

// plainLink writes a relative link without "." and empty parts: ./../x.c becomes
// ../x.c. It keeps ".." where it is, because a folder before it may be a symlink.
func plainLink(target string) string {
	if path.IsAbs(target) {
		return target
	}
	parts := slices.DeleteFunc(strings.Split(target, "/"), func(s string) bool { return s == "" || s == "." })
	return cmp.Or(strings.Join(parts, "/"), ".")
}

// refuse returns the error for a file that cannot be sent.
func refuse(at, format string, args ...any) *cli.Error {
	return cli.Failf(cli.Usage, "cannot send %s: %w", at, fmt.Errorf(format, args...)).
		Hint(fmt.Sprintf("if the build does not need it, leave it out:  echo '/%s' >> %s", strings.ReplaceAll(at, "'", `'\''`), IgnoreName))
}

func special(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	default:
		return "a special file"
	}
}

// reason returns the error without the path that the caller's message names.
func reason(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
