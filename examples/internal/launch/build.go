//go:build unix

// Package launch builds the real programs for tests, runs them in the
// background and hears what they say. Only tests use it.
//
//	Main ─▶ Build ─▶ tests: Need ─▶ Start ─▶ Says … Stop
package launch

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Build builds programs, which are named by their folders in the repository,
// such as examples/simulated-chip, into the folder dir.
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

// Main is for TestMain: it builds the programs, runs the tests and ends the
// process. The tests find the programs in the folder *dir.
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

// Need skips a test on a machine without one of the tools.
func Need(t testing.TB, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed; `make test` installs it", tool)
		}
	}
}
