// Command proxy-agent builds projects for clients on this machine. It polls a
// broker for jobs, checks every grant itself, and runs builds in a sandbox. See
// doc/agent.md and doc/recipes.md.
package main

import (
	"context"
	"os"

	"github.com/farforge/farforge/common/cli"
)

func main() { os.Exit(int(run())) }

func run() cli.Exit {
	// The first signal drains, the second stops the running jobs, the third exits at
	// once.
	ctx, drain, stop := cli.Signals(context.Background(), true)
	defer stop()
	cmd := newCommand(program{ctx: ctx, drain: drain, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr})
	if err := cmd.Execute(); err != nil {
		cli.Print(os.Stderr, err)
		return cli.Code(err)
	}
	return cli.Done
}
