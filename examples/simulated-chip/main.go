// Command simulated-chip is a simulated ESP32-C3 or ESP32 on a pseudo-terminal
// or a TCP port, to try flashing and monitoring without a board. It is a
// simulation: see the package documentation of examples/simulated-chip/simulator for what
// it models and what it does not.
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

// run is main with a result, so that deferred calls happen.
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
