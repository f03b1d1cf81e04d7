package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// rulesAbove reads the .gitignore files between the root of the git repository
// that dir lies in and dir itself, without those of dir. It returns the names
// of the folders between, which paths within dir are to be preceded by. A dir
// in no repository, or at the root of one, has none.
func rulesAbove(dir string) (*rules, []string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, nil, err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	var between []string
	top := dir
	for {
		if _, err := os.Lstat(filepath.Join(top, gitName)); err == nil {
			break
		}
		parent := filepath.Dir(top)
		if parent == top {
			return nil, nil, nil
		}
		between = append(between, filepath.Base(top))
		top = parent
	}
	slices.Reverse(between)
	var r *rules
	for depth, name := range between {
		text, err := os.ReadFile(filepath.Join(top, gitIgnoreName))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("read the ignore rules: %w", err)
		}
		r = &rules{parent: r, depth: depth, git: parseRules(string(text))}
		top = filepath.Join(top, name)
	}
	return r, between, nil
}
