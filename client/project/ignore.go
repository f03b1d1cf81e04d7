package project

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// rules are the ignore files of one folder; parent has those above.
type rules struct {
	parent   *rules
	depth    int // folders from the top of the outermost repository to this one
	git, own []pattern
	// repo is set at the top of a repository. No .gitignore above it holds below.
	repo *repository
	// made are the outputs of the project's kind. They are the weakest rules.
	made []pattern
}

// verdict is the decision about an entry.
type verdict int

const (
	undecided verdict = iota
	in
	out
)

// own returns the verdict of the .farforgeignore files on an entry.
func (r *rules) ownVerdict(path []string, dir bool) verdict {
	for at := r; at != nil; at = at.parent {
		if v := decide(at.own, path[at.depth:], dir); v != undecided {
			return v
		}
	}
	return undecided
}

// gitVerdict returns the verdict of git's rules on an entry that git does not track. path
// has the names of its folders and its own. The entry's folder is not left out itself,
// because git includes nothing below a folder that is left out.
//
// The last rule that matches decides: in one file the last line, among files the
// deepest, then the repository's excludes, then the outputs of the kind of project.
func (r *rules) gitVerdict(path []string, dir bool) verdict {
	for at := r; at != nil; at = at.parent {
		if v := decide(at.git, path[at.depth:], dir); v != undecided {
			return v
		}
		if at.repo != nil {
			if v := decide(at.repo.excludes, path[at.depth:], dir); v != undecided {
				return v
			}
			break
		}
	}
	for at := r; at != nil; at = at.parent {
		if v := decide(at.made, path[at.depth:], dir); v != undecided {
			return v
		}
	}
	return undecided
}

// repository returns the repository of the folder, and an entry's path within it.
func (r *rules) repository(path []string) (*repository, string) {
	for at := r; at != nil; at = at.parent {
		if at.repo != nil {
			return at.repo, strings.Join(path[at.depth:], "/")
		}
	}
	return &repository{}, ""
}

func decide(patterns []pattern, below []string, dir bool) verdict {
	if len(patterns) == 0 {
		return undecided
	}
	name, whole := below[len(below)-1], strings.Join(below, "/")
	for i := len(patterns) - 1; i >= 0; i-- {
		if p := &patterns[i]; p.matches(name, whole, dir) {
			if p.include {
				return in
			}
			return out
		}
	}
	return undecided
}

// rulesAbove returns the rules of the repository that dir lies in, without those of
// dir itself, and the names of the folders between its top and dir. A dir outside
// every repository has the user's own excludes.
func rulesAbove(ctx context.Context, dir string, warn func(string)) (*rules, []string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, nil, err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	var between []string
	top := dir
	for !isRepository(top) {
		parent := filepath.Dir(top)
		if parent == top {
			return &rules{repo: openRepository(ctx, "", warn)}, nil, nil
		}
		between = append(between, filepath.Base(top))
		top = parent
	}
	slices.Reverse(between)
	r := &rules{repo: openRepository(ctx, top, warn)}
	for depth, name := range between {
		if depth > 0 {
			r = &rules{parent: r, depth: depth}
		}
		at := filepath.Join(top, gitIgnoreName)
		if info, err := os.Lstat(at); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			warn(linkedRules(at))
		} else {
			text, err := readSmall(at, maxRules)
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNotRegular) {
				return nil, nil, fmt.Errorf("read the ignore rules: %w", err)
			}
			repo, _ := r.repository(between[:depth])
			r.git = parsePatterns(string(text), repo.foldCase)
		}
		top = filepath.Join(top, name)
	}
	return r, between, nil
}

func linkedRules(at string) string {
	return fmt.Sprintf("the ignore rules in %s are not obeyed, because it is a symlink, which git does not follow either", at)
}
