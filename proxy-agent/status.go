package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/proxy-agent/operator"
)

// drainPause is how often drain --wait looks whether the agent has ended.
const drainPause = 200 * time.Millisecond

func (p program) statusCommand() *cobra.Command {
	var c stateConfig
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what the running agent does",
		Long: `Asks the agent that runs with --state-dir on this machine for its state: what it has
free, which jobs run, and what it builds for.`,
		Example: `  proxy-agent status
  proxy-agent status --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := c.Validate(); err != nil {
				return err
			}
			state, err := operator.Status(p.ctx, c.Dir)
			if err != nil {
				return err
			}
			if asJSON {
				out := json.NewEncoder(p.stdout)
				out.SetIndent("", "  ")
				return out.Encode(state)
			}
			p.printState(state)
			return nil
		},
	}
	c.RegisterDir(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func (p program) printState(s *operator.State) {
	doing := "takes jobs"
	if s.Status.Draining {
		doing = "is draining"
	}
	fmt.Fprintf(p.stdout, "%s %s from %s, up for %v\n", s.Name, doing, s.Broker, time.Since(s.Started).Round(time.Second))
	fmt.Fprintf(p.stdout, "  cores   %d of %d free\n", s.Status.FreeCores, s.Status.TotalCores)
	fmt.Fprintf(p.stdout, "  memory  %d of %d MiB free\n", s.Status.FreeMemMB, s.Status.TotalMemMB)
	running := "none"
	if len(s.Status.RunningJobs) > 0 {
		running = strings.Join(s.Status.RunningJobs, ", ")
	}
	fmt.Fprintf(p.stdout, "  jobs    %s\n", running)
	for _, c := range s.Status.Capabilities {
		fmt.Fprintf(p.stdout, "  builds  %s with %s %s\n", c.Target, c.Toolchain, c.Version)
	}
}

func (p program) drainCommand() *cobra.Command {
	var c stateConfig
	var wait bool
	cmd := &cobra.Command{
		Use:   "drain",
		Short: "Let the running agent finish its jobs and end",
		Long: `Makes the agent that runs with --state-dir on this machine drain, as SIGTERM does: it
takes no new jobs, finishes the running ones and ends.`,
		Example: `  proxy-agent drain --wait && reboot`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := c.Validate(); err != nil {
				return err
			}
			if err := operator.Drain(p.ctx, c.Dir); err != nil {
				return err
			}
			if wait {
				return awaitEnd(p.ctx, c.Dir)
			}
			fmt.Fprintln(p.stdout, "the agent is draining")
			return nil
		},
	}
	c.RegisterDir(cmd.Flags())
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the agent has ended")
	return cmd
}

// awaitEnd returns once no agent runs with the state folder.
func awaitEnd(ctx context.Context, dir string) error {
	tick := time.NewTicker(drainPause)
	defer tick.Stop()
	for {
		_, err := operator.Status(ctx, dir)
		switch {
		case errors.Is(err, operator.ErrNotRunning):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
