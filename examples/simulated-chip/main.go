// Command simulated-chip is a simulated Espressif chip on a pseudo-terminal or a TCP
// port, to try flashing and monitoring without a board. The documentation of the package
// simulator says what it simulates and what it leaves out.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes, the same as the client's.
const (
	exitUsage = 2
	exitPort  = 6
)

func main() { os.Exit(run()) }

// run is main with a result, so that deferred calls run.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cmd := newCommand(os.Stdout, os.Stderr)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "error: %v\n", err)
	var problem *portError
	if errors.As(err, &problem) {
		if problem.hint != "" {
			fmt.Fprintf(os.Stderr, "hint: %s\n", problem.hint)
		}
		return exitPort
	}
	fmt.Fprintln(os.Stderr, "hint: simulated-chip --help lists the options")
	return exitUsage
}
