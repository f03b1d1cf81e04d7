// Command client builds a project on an agent far away and flashes the board on
// this machine's USB port. See doc/client.md.
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
	// exits at once.
	ctx, _, stop := cli.Signals(context.Background(), false)
	defer stop()
	// A closed terminal and a closed pipe cancel it, too: if they killed the
	// client, the agent would go on building.
	ctx, forget := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGPIPE)
	defer forget()
	return execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
}
