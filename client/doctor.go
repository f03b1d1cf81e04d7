package main

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/client/remote"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/peer"
	"github.com/farforge/farforge/common/signaling"
)

// doctorConfig is the command line of client doctor.
type doctorConfig struct {
	brokerConfig
	Job remote.Options
}

func (c *doctorConfig) register(f *pflag.FlagSet) {
	cli.Section(f, "Job", c.Job.RegisterTarget)
	c.brokerConfig.register(f)
}

func (a *app) doctorCommand() *cobra.Command {
	var c doctorConfig
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check whether and how the broker can be reached",
		Long: `Try each way to the broker by itself: does the name resolve, does something
answer, is its certificate good, is it a broker, do the clocks agree. Then ask
whether there is an agent, for --target if that is given. Nothing is built.

The exit code is 0 if at least one way works, and else 3.`,
		Example: `  client doctor
  client doctor --target esp32c3
  client doctor --rendezvous direct,front --front cdn.example,other.example`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.Validate(); err != nil {
				return err
			}
			return a.doctor(cmd.Context(), c)
		},
	}
	c.register(cmd.Flags())
	return cmd
}

func (a *app) doctor(ctx context.Context, c doctorConfig) error {
	broker, err := c.open(ctx, a.log)
	if err != nil {
		return err
	}
	defer broker.Close()
	failed := 0
	broker.Probe(ctx, func(p signaling.Probe) {
		if !p.Works() {
			failed++
		}
		a.ui.Way(c.describe(p, broker.Skew()))
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	way, works := broker.Way()
	d := &console.Diagnosis{Works: works, Agents: []string{}}
	if !works {
		a.ui.Done(console.Report{Doctor: d})
		e := cli.Failf(cli.Broker, "the broker at %s cannot be reached", broker.Origin())
		if len(c.Reach.Fronts) == 0 && c.Reach.AMPCache == "" {
			e.Hint("if only its name is blocked, try --front or --ampcache; ask its operator for the values")
		}
		return e
	}
	d.Leg, d.Via = way.Leg, way.Via
	d.Agents, d.Problem = c.agents(ctx, broker)
	if d.Problem != "" {
		a.ui.Result("agents: %s", console.Clean(d.Problem, false))
	} else {
		a.ui.Result("agents: %s", console.Clean(strings.Join(d.Agents, ", "), false))
	}
	a.ui.Result("jobs reach the broker %s", way)
	a.ui.Done(console.Report{Doctor: d})
	return nil
}

// agents requests a grant for the smallest job, to see its candidates. It reserves
// nothing and counts as a grant.
func (c *doctorConfig) agents(ctx context.Context, broker *introducer) (names []string, problem string) {
	names = []string{}
	cert, err := peer.NewCertificate()
	if err != nil {
		return names, err.Error()
	}
	granted, err := broker.AskGrant(ctx, &api.GrantRequest{
		PeerFingerprint: cert.Fingerprint(), RequiredChannels: []string{channel.LabelControl},
		CPUCores: 1, MemoryMB: 1, TimeoutSecs: int(time.Minute / time.Second), Target: c.Job.Target,
	})
	var p *api.Problem
	switch {
	case errors.As(err, &p):
		return names, strings.Join(append([]string{cmp.Or(p.Detail, p.Title)}, p.Hints...), "; ")
	case err != nil:
		return names, err.Error()
	}
	for _, agent := range granted.Candidates {
		names = append(names, cmp.Or(agent.Name, agent.Fingerprint))
	}
	return names, ""
}
