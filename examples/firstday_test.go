package examples_test

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/farforge/farforge/examples/internal/launch"
)

// TestFirstDay runs the terminal sessions in testdata with the real programs: a
// user installs Farforge, joins an agent, writes a recipe, builds and flashes, and
// makes the usual mistakes.
func TestFirstDay(t *testing.T) {
	needTools(t)
	launch.Need(t, "xtensa-lx106-elf-gcc", "ssh-keygen")
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", programs+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_CONFIG_HOME", env.WorkDir+"/.config")
			env.Setenv("XDG_STATE_HOME", env.WorkDir+"/.local/state")
			env.Setenv("NO_COLOR", "1")
			return nil
		},
	})
}
