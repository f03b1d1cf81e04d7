package main

import (
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/client/trust"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/signaling"
)

// reachName is the file, beside known_agents, that remembers how brokers were
// reached.
const reachName = "rendezvous.json"

// reachOptions are the flags of how to get to a broker.
type reachOptions struct {
	signaling.Reach
	// told is told which way works.
	told func(signaling.Way)
}

func (o *reachOptions) register(f *pflag.FlagSet) { o.Reach.Register(f, true) }

// Validate reports what is wrong before anything is read or asked.
func (o *reachOptions) Validate() error {
	if err := o.Reach.Validate(); err != nil {
		return cli.Fail(cli.Usage, err, "doc/reach.md tells how to reach a broker where its name is blocked")
	}
	return nil
}

// ways prepares the ways to the broker at a URL.
func (o *reachOptions) ways(url string, log *slog.Logger) (*signaling.Ways, error) {
	if known, err := trust.DefaultFile(os.Getenv); err == nil {
		o.File = filepath.Join(filepath.Dir(known), reachName)
	}
	ways, err := signaling.NewWays(url, o.Reach, o.told, log)
	if err != nil {
		return nil, cli.Fail(cli.Usage, err)
	}
	return ways, nil
}

// reached tells the user which way to the broker is in use.
func (a *app) reached(w signaling.Way) {
	a.ui.Reached(w.Leg, w.Via, w.String(), w.Leg == signaling.LegDirect)
}
