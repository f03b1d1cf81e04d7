package artifacts

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/flashmap"
)

// maxDepth bounds how deep below the artifacts FindMap looks for a flash map.
const maxDepth = 6

// FindMap returns the path of the flash map that the user names: the file itself, a
// project with artifacts, or a folder where ESP-IDF has built. state is the
// name of the client's own folder in a project. Errors are for the user.
func FindMap(what, state string) (string, error) {
	restoreIn(what, state)
	info, err := os.Stat(what)
	if err != nil {
		return "", cli.Failf(cli.Usage, "cannot flash %s: %w", what, pathReason(err))
	}
	if !info.IsDir() {
		return what, nil
	}
	out := filepath.Join(what, state, OutName)
	found, err := search(out)
	if err != nil {
		return "", cli.Failf(cli.Usage, "look for %s in %s: %w", flashmap.FileName, out, err)
	}
	if len(found) > 1 {
		return "", cli.Failf(cli.Usage, "%s holds several flash maps", out).
			Hint("name one of them:  client flash "+found[0], "there are "+strings.Join(found, ", "))
	}
	if len(found) == 1 {
		return found[0], nil
	}
	for _, dir := range []string{what, filepath.Join(what, "build")} {
		at := filepath.Join(dir, flashmap.FileName)
		if info, err := os.Stat(at); err == nil && info.Mode().IsRegular() {
			return at, nil
		}
	}
	return "", cli.Failf(cli.Usage, "there is nothing to flash in %s: no %s", what, flashmap.FileName).
		Hint("build it first:  client build "+what, "or build and flash in one:  client run "+what)
}

// search finds the flash maps below dir. It does not follow symlinks.
func search(dir string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(at string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, at)
		if err != nil {
			return err
		}
		if e.IsDir() && strings.Count(rel, string(filepath.Separator)) >= maxDepth {
			return fs.SkipDir
		}
		if e.Type().IsRegular() && e.Name() == flashmap.FileName {
			found = append(found, at)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	slices.Sort(found)
	return found, err
}

func pathReason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
