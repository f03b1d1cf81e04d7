package build

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// workspacePrefix begins the name of every workspace's directory.
const workspacePrefix = "job-"

// Workspaces makes and removes the private directories in which jobs are
// built. One process at a time may use a directory for them.
type Workspaces struct {
	dir  string
	lock *os.File
}

// OpenWorkspaces opens dir for workspaces. It makes dir if it is missing, and
// removes the workspaces that a killed agent left there. It logs those that it
// cannot remove. It fails if another process uses dir. log may be nil.
func OpenWorkspaces(dir string, log *slog.Logger) (*Workspaces, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("open the workspaces: %w", err)
	}
	lock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("open the workspaces in %s: %w", dir, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("open the workspaces: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), workspacePrefix) {
			continue
		}
		if err := removeTree(filepath.Join(dir, e.Name())); err != nil && log != nil {
			log.Error("a workspace of an earlier run cannot be removed; remove it by hand", "error", err)
		}
	}
	return &Workspaces{dir: dir, lock: lock}, nil
}

// Close lets another process use the directory.
func (w *Workspaces) Close() error { return w.lock.Close() }

// Workspace is the directory of one job.
type Workspace struct {
	// Dir is its absolute path; only the agent's user can enter it.
	Dir string
	// Root is Dir for the agent's own access: no path and no symlink from a
	// client or a build leads out of it.
	Root *os.Root
}

// New makes an empty workspace.
func (w *Workspaces) New() (*Workspace, error) {
	dir, err := os.MkdirTemp(w.dir, workspacePrefix) // mode 0700
	if err != nil {
		return nil, fmt.Errorf("make a workspace: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("make a workspace: %w", errors.Join(err, os.Remove(dir)))
	}
	return &Workspace{Dir: dir, Root: root}, nil
}

// Close removes the workspace and everything in it. No process may run in it.
func (w *Workspace) Close() error {
	if err := errors.Join(w.Root.Close(), removeTree(w.Dir)); err != nil {
		return fmt.Errorf("remove the workspace: %w", err)
	}
	return nil
}
