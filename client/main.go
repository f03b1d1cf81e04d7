// Command client builds a project on an agent far away and flashes the board on
// this machine's USB port. doc/client.md tells how to use it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/farforge/farforge/common/cli"
)

func main() { os.Exit(int(run())) }

func run() cli.Exit {
	// The first signal cancels the build on the agent and cleans up; the second
	// leaves at once.
	ctx, _, stop := cli.Signals(context.Background(), false)
	defer stop()
	// So do a terminal that is closed and a pipe that nobody reads any more:
	// dying of them would leave the agent building.
	ctx, forget := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGPIPE)
	defer forget()
	return execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
}
