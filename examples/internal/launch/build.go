//go:build unix

// Package launch builds the real programs for tests, runs them in the
// background and waits for lines of their output. Only tests use it.
//
//	Main ─▶ Build ─▶ tests: Need ─▶ Start ─▶ WaitFor … Stop
package launch

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Build builds programs into the folder dir. They are named by their folders in
// the repository, such as examples/simulated-chip.
func Build(dir string, race bool, names ...string) error {
	args := []string{"build", "-o", dir + "/"}
	if race {
		args = append(args, "-race")
	}
	for _, name := range names {
		args = append(args, "github.com/farforge/farforge/"+name)
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return nil
}

// Main serves as TestMain: it builds the programs into a new folder, stores the
// folder's name in *dir, runs the tests and exits.
func Main(m *testing.M, dir *string, race bool, names ...string) {
	os.Exit(func() int {
		made, err := os.MkdirTemp("", "farforge")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(made)
		if err := Build(made, race, names...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		*dir = made
		return m.Run()
	}())
}

// Need skips a test on a machine that lacks one of the tools.
func Need(t testing.TB, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed; `make test` installs it", tool)
		}
	}
}
