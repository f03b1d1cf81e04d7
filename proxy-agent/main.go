// Command proxy-agent builds projects for clients on this machine. It asks a
// broker for work, checks every grant itself, and runs builds in a sandbox.
// doc/agent.md and doc/recipes.md tell the rest.
package main

import (
	"context"
	"os"

	"github.com/farforge/farforge/common/cli"
)

func main() { os.Exit(int(run())) }

func run() cli.Exit {
	// The first signal lets the jobs under way end, the second stops them, the
	// third leaves at once.
	ctx, drain, stop := cli.Signals(context.Background(), true)
	defer stop()
	cmd := newCommand(program{ctx: ctx, drain: drain, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr})
	if err := cmd.Execute(); err != nil {
		cli.Print(os.Stderr, err)
		return cli.Code(err)
	}
	return cli.Done
}
