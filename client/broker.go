package main

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/client/credential"
	"github.com/farforge/farforge/client/trust"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/signaling"
)

// reachName is the file, beside known_agents, that keeps the ways that reached
// brokers.
const reachName = "rendezvous.json"

// brokerConfig selects the broker, the way to it, and the identity shown to it.
type brokerConfig struct {
	URL    string
	Reach  signaling.Reach
	SignIn credential.Options
	// reached is called with the way that reached the broker.
	reached func(signaling.Way)
}

func (c *brokerConfig) register(f *pflag.FlagSet) {
	cli.Section(f, "Broker", c.registerURL, func(f *pflag.FlagSet) { c.Reach.Register(f, true) })
	cli.Section(f, "Signing in", c.SignIn.Register)
}

func (c *brokerConfig) registerURL(f *pflag.FlagSet) {
	f.StringVar(&c.URL, "url", "", "use the broker at this `URL`")
	cli.Env(f, "url", "FARFORGE_URL")
}

// Validate reports the first wrong option, before anything is read or sent.
func (c *brokerConfig) Validate() error {
	if c.URL == "" {
		return cli.Usagef("no broker is given").
			Hint("name it with --url, or once for all:  client config set url https://broker.example.org")
	}
	return cmp.Or(c.validateReach(), c.SignIn.Validate())
}

func (c *brokerConfig) validateReach() error {
	if err := c.Reach.Validate(); err != nil {
		return cli.Fail(cli.Usage, err, "see doc/reach.md and client help fronting")
	}
	return nil
}

// introducer is a client of the broker and the credential that it signs in with.
type introducer struct {
	*signaling.Client
	as *credential.Credential
}

func (i *introducer) Close() {
	i.Client.Close()
	i.as.Close()
}

// open prepares the way to the broker.
func (c *brokerConfig) open(ctx context.Context, log *slog.Logger) (*introducer, error) {
	config := signaling.Config{URL: c.URL, UserAgent: "farforge-client/" + cli.Version(), Logger: log}
	if _, err := signaling.New(config); err != nil {
		return nil, cli.Fail(cli.Usage, err, "a broker's URL looks like https://broker.example.org")
	}
	reach := c.Reach
	if known, err := trust.DefaultFile(os.Getenv); err == nil {
		reach.File = filepath.Join(filepath.Dir(known), reachName)
	}
	ways, err := signaling.NewWays(c.URL, reach, c.reached, log)
	if err != nil {
		return nil, cli.Fail(cli.Usage, err)
	}
	config.Ways = ways
	as, err := c.SignIn.Open(config, credential.AskOnTerminal(ctx), os.Getenv)
	if err != nil {
		return nil, err
	}
	config.Token = as.Token
	broker, err := signaling.New(config)
	if err != nil {
		as.Close()
		return nil, cli.Fail(cli.Usage, err)
	}
	return &introducer{broker, as}, nil
}

// sayWay shows the way to the broker that is in use.
func (a *app) sayWay(w signaling.Way) {
	a.ui.Reached(w.Leg, w.Via, w.String(), w.Leg == signaling.LegDirect)
}
