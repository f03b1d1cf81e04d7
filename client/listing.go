package main

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/client/remote"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
)

// defaultInterval and minInterval are pauses between two requests of --watch.
const (
	defaultInterval = 2 * time.Second
	minInterval     = time.Second
	// maxPause is the longest pause while the broker does not answer.
	maxPause = 30 * time.Second
)

// listingConfig is the command line of client agents.
type listingConfig struct {
	brokerConfig
	Job      remote.Options
	All      bool
	Watch    bool
	Interval time.Duration
}

func (c *listingConfig) register(f *pflag.FlagSet) {
	cli.Section(f, "Agents", c.Job.RegisterAble, c.registerList)
	c.brokerConfig.register(f)
}

func (c *listingConfig) registerList(f *pflag.FlagSet) {
	f.BoolVar(&c.All, "all", false, "list agents that are offline, too")
	f.BoolVar(&c.Watch, "watch", false, "keep the list up to date until Ctrl-C")
	f.DurationVar(&c.Interval, "interval", defaultInterval, "refresh the list of --watch every `TIME`, at least 1s")
}

// Validate reports the first wrong option, before anything is sent.
func (c *listingConfig) Validate() error {
	return cmp.Or(c.brokerConfig.Validate(), c.Job.ValidateAble(), c.validateInterval(), c.query().Validate())
}

func (c *listingConfig) validateInterval() error {
	switch {
	case c.Interval < minInterval:
		return usage("--interval: %v is less than %v", c.Interval, minInterval)
	case c.Interval != defaultInterval && !c.Watch:
		return usage("--interval needs --watch")
	}
	return nil
}

func (c *listingConfig) query() *api.AgentQuery {
	return &api.AgentQuery{Target: c.Job.Target, Toolchain: c.Job.Toolchain, Tags: c.Job.Tags}
}

// listAgents shows the agents, once or until ctx ends.
func (a *app) listAgents(ctx context.Context, c listingConfig) error {
	c.reached = a.sayWay
	broker, err := c.open(ctx, a.log)
	if err != nil {
		return err
	}
	defer broker.Close()
	if c.Watch {
		return a.watchAgents(ctx, &c, broker)
	}
	l, err := c.look(ctx, broker)
	if err != nil {
		return listingError(ctx, broker, err)
	}
	a.ui.Agents(l)
	a.ui.Done(console.Report{Agents: l.Count()})
	return nil
}

// look fetches the current list of agents.
func (c *listingConfig) look(ctx context.Context, broker *introducer) (*console.Listing, error) {
	q := c.query()
	agents, err := broker.Agents(ctx, *q)
	if err != nil {
		return nil, err
	}
	return console.NewListing(agents, c.All, len(q.Values()) > 0), nil
}

// listingError explains why the broker does not list its agents.
func listingError(ctx context.Context, broker *introducer, err error) error {
	var p *api.Problem
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &p) && p.Code == api.CodeNotFound:
		return cli.Failf(cli.Broker, "the broker at %s does not list its agents", broker.Origin()).
			Hint("it is older than this client; ask its operator to update it", "try client doctor, which shows whether there are agents")
	}
	return remote.BrokerError(ctx, broker.Client, broker.as.Name, err)
}
