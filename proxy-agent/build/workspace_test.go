package build

import (
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func newWorkspace(t *testing.T) *Workspace {
	t.Helper()
	all, err := OpenWorkspaces(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { all.Close() })
	ws, err := all.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ws.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(ws.Dir); !os.IsNotExist(err) {
			t.Errorf("the workspace is still there: %v", err)
		}
	})
	return ws
}

func TestWorkspaceIsPrivate(t *testing.T) {
	ws := newWorkspace(t)
	info, err := os.Stat(ws.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", info.Mode())
	}
	if !filepath.IsAbs(ws.Dir) {
		t.Errorf("%s is not absolute", ws.Dir)
	}
}

func TestWorkspaceRootConfines(t *testing.T) {
	ws := newWorkspace(t)
	outside := filepath.Join(filepath.Dir(ws.Dir), "outside")
	write(t, filepath.Join(outside, "secret"), "x")
	if err := os.Symlink(outside, filepath.Join(ws.Dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"../outside/secret", outside + "/secret", "link/secret", "link/../../outside/secret"} {
		if f, err := ws.Root.Open(path); err == nil {
			f.Close()
			t.Errorf("%s can be opened", path)
		}
		if f, err := ws.Root.Create(path); err == nil {
			f.Close()
			t.Errorf("%s can be written", path)
		}
	}
}

func TestSweepAndLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "workspaces")
	first, err := OpenWorkspaces(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	ws, err := first.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Root.Close()
	write(t, filepath.Join(ws.Dir, "left/behind"), "x")
	write(t, filepath.Join(dir, "README"), "the operator's")

	if _, err := OpenWorkspaces(dir, nil); err == nil || !strings.Contains(err.Error(), "another proxy-agent") {
		t.Errorf("a second process: %v", err)
	}
	if _, err := os.Stat(ws.Dir); err != nil {
		t.Errorf("the second process removed a workspace of the first: %v", err)
	}
	first.Close() // as the end of the process does

	second, err := OpenWorkspaces(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if _, err := os.Stat(ws.Dir); !os.IsNotExist(err) {
		t.Errorf("not removed: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "README")); err != nil {
		t.Errorf("removed too much: %v", err)
	}
}

// TestLeftoversDoNotStopTheAgent finds a workspace that it cannot remove.
func TestLeftoversDoNotStopTheAgent(t *testing.T) {
	if os.Getuid() == 0 {
		asNobody(t, "TestLeftoversDoNotStopTheAgent") // root can remove everything
		return
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "job-left", "file"), "x")
	write(t, filepath.Join(dir, "lock"), "")
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	var log strings.Builder
	w, err := OpenWorkspaces(dir, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if !strings.Contains(log.String(), "job-left") || !strings.Contains(log.String(), "cannot be removed") {
		t.Errorf("the log says %q", log.String())
	}
}
