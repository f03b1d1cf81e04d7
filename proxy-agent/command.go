package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/common/command"
	"github.com/farforge/farforge/proxy-agent/sandbox"
)

const longHelp = `The agent builds other people's projects on this machine. It polls a broker over
ordinary outgoing HTTPS requests, so it can sit behind NAT and needs no open port.
Clients connect to it peer to peer; the broker never sees source, logs or firmware.

To set it up:

  1. proxy-agent keygen
     prints a line for the broker's file of authorized agents.
  2. proxy-agent recipes
     shows what this machine can build, and what is missing for the rest.
  3. proxy-agent run --url https://broker.example.org

Builds run in a bubblewrap sandbox: without network, able to read this machine's
programs only, and able to write only a private workspace and, where a recipe keeps
one, the project's cache. The agent needs no root and should not have it.

The agent does not trust the broker: it verifies every grant against keys that it
pins at the first contact, signs its answers so that clients can verify them, and
signs what it builds.

The first SIGINT or SIGTERM drains: the agent takes no new jobs and finishes the
running ones. The second stops them. The third exits at once.

See doc/agent.md.`

const runExamples = `  proxy-agent run --url https://broker.example.org
  proxy-agent run --url https://broker.example.org --cores 4 --memory 8G --recipes ~/recipes
  proxy-agent run --url https://broker.example.org --tag eu --tag gpu
  proxy-agent run --url https://broker.example.org --key ~/.ssh/id_ed25519.pub
  proxy-agent run --url https://broker.example.org --source-hosts github.com,codeload.github.com`

// program is what all verbs share besides their flags.
type program struct {
	ctx            context.Context
	drain          <-chan struct{}
	stdin          *os.File
	stdout, stderr io.Writer
}

func newCommand(p program) *cobra.Command {
	cfg := &Config{}
	serve := func(*cobra.Command, []string) error {
		if err := cfg.Validate(); err != nil {
			return err
		}
		return p.run(cfg)
	}
	root := &cobra.Command{
		Use:     "proxy-agent",
		Short:   "Build projects for clients far away",
		Long:    longHelp,
		Example: runExamples,
		RunE:    serve,
	}
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	run := &cobra.Command{
		Use:     "run",
		Short:   "Take jobs from a broker; the default verb",
		Example: runExamples,
		Args:    cobra.NoArgs,
		RunE:    serve,
	}
	root.AddCommand(run, keygenCommand(p), recipesCommand(p), p.statusCommand(), p.drainCommand(), command.FrontingTopic())
	for _, cmd := range []*cobra.Command{root, run} {
		cfg.Register(cmd.Flags())
		command.Values(cmd, "sandbox", sandbox.KindBubblewrap, sandbox.KindNone)
	}
	command.Finish(root)
	return root
}
