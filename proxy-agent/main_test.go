//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long tests wait for an event that must happen. Only a test that
// fails waits so long: a busy machine can take many seconds for one sync.
const patience = time.Minute

func TestMain(m *testing.M) {
	if os.Getenv("FARFORGE_TEST_AGENT") != "" { // a child of agent_test.go
		main()
	}
	testscript.Main(m, map[string]func(){"proxy-agent": main})
}

// TestScripts runs the command line as an operator would; each script names the
// behavior that it tests.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "check-mode": mode},
		Setup: func(env *testscript.Env) error {
			agent, err := exec.LookPath("proxy-agent")
			env.Setenv("AGENT", agent)
			env.Setenv("HOME", env.WorkDir)
			return err
		},
	})
}

// exits is the script command "exits CODE PROGRAM ARGS...": the program must end
// with the code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != want {
		ts.Fatalf("want exit code %d, got %v", want, err)
	}
}

// mode is the script command "check-mode MODE FILE": it compares a file's permissions.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode()&fs.ModePerm); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}
