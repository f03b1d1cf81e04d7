// Command broker introduces clients to agents. It issues grants, picks an
// agent, passes offer and answer, and never sees source, logs or firmware. See
// README.md and doc/protocol.md.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/farforge/farforge/common/cli"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, drain, stop := cli.Signals(context.Background(), true)
	defer stop()
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)

	cmd := newCommand(func(cfg *Config) error {
		return serve(ctx, cfg, signals{drain: drain, reload: reload}, os.Stdout, os.Stderr)
	})
	if err := cmd.Execute(); err != nil {
		cli.Print(os.Stderr, err)
		return int(cli.Code(err))
	}
	return int(cli.Done)
}
