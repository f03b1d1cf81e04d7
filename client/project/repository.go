package project

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// repository holds what git knows about the files below a folder: the tracked ones, and
// the rules besides the .gitignore files. A folder outside every repository has the
// user's own excludes alone.
type repository struct {
	tracked  *index // nil: nothing
	excludes []pattern
	foldCase bool
}

// isRepository reports whether a folder is the top of a repository: it has a folder
// .git with a HEAD, or the file .git of a submodule or a worktree.
func isRepository(dir string) bool {
	at := filepath.Join(dir, gitName)
	info, err := os.Stat(at)
	switch {
	case err != nil:
		return false
	case info.IsDir():
		_, err := os.Lstat(filepath.Join(at, "HEAD"))
		return err == nil
	default:
		_, err := gitDir(dir)
		return err == nil
	}
}

// gitDir returns the folder in which git keeps the repository with this top.
func gitDir(dir string) (string, error) {
	at := filepath.Join(dir, gitName)
	info, err := os.Stat(at)
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		return at, nil
	}
	text, err := readSmall(at, 64<<10)
	if err != nil {
		return "", err
	}
	to, ok := strings.CutPrefix(string(text), "gitdir: ")
	if !ok {
		return "", fmt.Errorf("%s is not a file of git", at)
	}
	to = filepath.FromSlash(strings.TrimRight(to, "\r\n"))
	if !filepath.IsAbs(to) {
		to = filepath.Join(dir, to)
	}
	return to, nil
}

// openRepository reads what git knows about the repository with its top at dir; "" is
// for a folder outside every repository. warn gets the rules and settings that cannot be
// obeyed.
func openRepository(ctx context.Context, dir string, warn func(string)) *repository {
	r := &repository{}
	settings := readSettings(ctx, dir, warn)
	r.foldCase = settings.foldCase
	for _, at := range settings.excludes {
		text, err := readSmall(at, maxRules)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNotRegular) {
			warn(fmt.Sprintf("the ignore rules in %s are not obeyed: %v", at, reason(err)))
		}
		r.excludes = append(r.excludes, parsePatterns(string(text), r.foldCase)...)
	}
	if dir == "" {
		return r
	}
	var err error
	if r.tracked, err = readIndex(ctx, dir, settings.hash); err != nil {
		warn(fmt.Sprintf("files that git tracks although they are ignored are left out: %v", err))
	}
	return r
}

// readIndex reads the repository's index. git reads it if its form is unusual.
func readIndex(ctx context.Context, dir string, hash int) (*index, error) {
	folder, err := gitDir(dir)
	if err != nil {
		return nil, err
	}
	data, err := readSmall(filepath.Join(folder, "index"), maxIndex)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errIndex, reason(err))
	}
	x, err := parseIndex(data, hash)
	if err == nil {
		return x, nil
	}
	out, gitErr := runGit(ctx, dir, "ls-files", "-z", "--stage")
	if gitErr != nil {
		return nil, err
	}
	x = &index{files: map[string]bool{}, modules: map[string]bool{}, folders: map[string]bool{}}
	for entry := range strings.SplitSeq(string(out), "\x00") {
		if about, name, ok := strings.Cut(entry, "\t"); ok {
			mode := uint32(0o10 << 12)
			if strings.HasPrefix(about, "160000 ") {
				mode = 0o16 << 12
			}
			if err := x.add(name, mode); err != nil {
				return nil, err
			}
		}
	}
	return x, nil
}

// runGit runs a git command that only reads. It runs none of the programs that a
// repository's configuration can name.
func runGit(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "core.fsmonitor=false"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	return cmd.Output()
}

// settings are git's settings that decide about a repository's files.
type settings struct {
	excludes []string // files of rules, the weakest first
	foldCase bool
	hash     int // size of an object name, in bytes
}

// readSettings reads git's settings for the repository with its top at dir. git
// itself reads them where it is installed, because they may include other files.
func readSettings(ctx context.Context, dir string, warn func(string)) settings {
	s := settings{hash: 20}
	values := map[string]string{}
	const wanted = `^(core\.(excludesfile|ignorecase)|extensions\.objectformat)$`
	out, err := runGit(ctx, cmp.Or(dir, string(filepath.Separator)), "config", "-z", "--includes", "--get-regexp", wanted)
	var exit *exec.ExitError
	switch {
	case err == nil:
		for entry := range strings.SplitSeq(string(out), "\x00") {
			key, value, _ := strings.Cut(entry, "\n")
			values[strings.ToLower(key)] = value
		}
	case errors.As(err, &exit) && exit.ExitCode() == 1: // none of them is set
	default:
		for _, at := range configFiles(dir) {
			text, err := readSmall(at, maxRules)
			if err == nil {
				parseGitConfig(string(text), values)
			} else if !errors.Is(err, fs.ErrNotExist) {
				warn(fmt.Sprintf("git's settings in %s are not obeyed: %v", at, reason(err)))
			}
		}
	}
	home, _ := os.UserHomeDir()
	global, set := values["core.excludesfile"]
	switch {
	case !set && xdg(home) != "":
		global = filepath.Join(xdg(home), "git", "ignore")
	case strings.HasPrefix(global, "~/"):
		global = filepath.Join(home, global[2:])
	}
	if global != "" {
		if !filepath.IsAbs(global) {
			global = filepath.Join(dir, global)
		}
		s.excludes = append(s.excludes, global)
	}
	if dir == "" {
		return s
	}
	s.foldCase = strings.EqualFold(values["core.ignorecase"], "true")
	if values["extensions.objectformat"] == "sha256" {
		s.hash = 32
	}
	if folder, err := gitDir(dir); err == nil {
		s.excludes = append(s.excludes, filepath.Join(commonDir(folder), "info", "exclude"))
	}
	return s
}

// commonDir returns the folder that all worktrees of a repository share.
func commonDir(folder string) string {
	text, err := readSmall(filepath.Join(folder, "commondir"), 64<<10)
	if err != nil {
		return folder
	}
	to := filepath.FromSlash(strings.TrimRight(string(text), "\r\n"))
	if filepath.IsAbs(to) {
		return to
	}
	return filepath.Join(folder, to)
}

// configFiles returns the files of git's settings, the weakest first.
func configFiles(dir string) []string {
	home, _ := os.UserHomeDir()
	files := []string{"/etc/gitconfig"}
	if x := xdg(home); x != "" {
		files = append(files, filepath.Join(x, "git", "config"))
	}
	files = append(files, filepath.Join(home, ".gitconfig"))
	if dir == "" {
		return files
	}
	if folder, err := gitDir(dir); err == nil {
		files = append(files, filepath.Join(commonDir(folder), "config"))
	}
	return files
}

// xdg returns the user's configuration folder as git finds it, or "".
func xdg(home string) string {
	if dir := os.Getenv("XDG_CONFIG_HOME"); dir != "" {
		return dir
	}
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".config")
}

// parseGitConfig adds the settings of a file (git-config(1)). It does not follow
// includes.
func parseGitConfig(text string, values map[string]string) {
	section := ""
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "["); ok {
			section, line, _ = strings.Cut(rest, "]")
			section, line = strings.ToLower(strings.TrimSpace(section)), strings.TrimSpace(line)
		}
		key, value, assigned := strings.Cut(line, "=")
		if key = strings.ToLower(strings.TrimSpace(key)); key == "" || key[0] == '#' || key[0] == ';' {
			continue
		}
		if !assigned {
			value = "true"
		}
		values[section+"."+key] = unquote(strings.TrimSpace(value))
	}
}

// unquote reads a value: quotes, backslashes, and a comment at the end.
func unquote(value string) string {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && i+1 < len(value):
			i++
			b.WriteByte(value[i])
		case !quoted && (c == '#' || c == ';'):
			return strings.TrimSpace(b.String())
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

var errNotRegular = errors.New("it is not a regular file")

// maxRules bounds a file of rules or settings, in bytes.
const maxRules = 16 << 20

// readSmall reads a regular file of at most so many bytes.
func readSmall(at string, most int64) ([]byte, error) {
	f, err := os.OpenFile(at, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	var b bytes.Buffer
	if n, err := io.Copy(&b, io.LimitReader(f, most+1)); err != nil {
		return nil, err
	} else if n > most {
		return nil, fmt.Errorf("it is longer than %d MiB", most>>20)
	}
	return b.Bytes(), nil
}
