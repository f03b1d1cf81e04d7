package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/client/trust"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/identity"
)

// maxKeyLine bounds a public key on standard input, in bytes.
const maxKeyLine = 64 << 10

func (a *app) agentsCommand() *cobra.Command {
	var c listingConfig
	cmd := &cobra.Command{
		Use:   "agents",
		Short: "List the agents, or edit the list of trusted ones",
		Long: `List the broker's agents: their state, free and total cores and memory, running
jobs, targets, toolchains and tags. An agent is

  idle      it runs nothing
  busy      it runs jobs; more may fit
  resting   it failed repeatedly; the broker tries it again later
  draining  it finishes its jobs and takes no new ones
  offline   it does not poll the broker; --all lists these, too

--target, --toolchain and --tag list agents that could get such a job. An empty list
is no error: the exit code is 0 once the broker has answered.

With --watch the client redraws the table when it changes: in place on a terminal,
as a new table behind a blank line on a pipe; with --json, it writes one object for
each changed agent. It retries when the broker stops answering. Ctrl-C ends
it with exit code 0.

The verbs below edit known_agents, the list of agents that you trust. It has the
form of OpenSSH's allowed_signers, one agent a line:

  bench@broker.example.org ssh-ed25519 AAAA…

The first job on an agent adds it to the list, and so does client agents trust. An
agent that later presents another key is refused until it is forgotten.`,
		Example: `  client agents
  client agents --target esp32c3 --toolchain esp-idf@~5.3
  client agents --all --watch`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.Validate(); err != nil {
				return err
			}
			return a.listAgents(cmd.Context(), c)
		},
	}
	c.register(cmd.Flags())
	cmd.AddCommand(a.trustedCommand(), a.trustCommand(), a.forgetCommand())
	return cmd
}

func (a *app) trustedCommand() *cobra.Command {
	var o trust.Options
	cmd := &cobra.Command{
		Use:   "trusted",
		Short: "List the trusted agents",
		Long:  `List the trusted agents: name and broker, fingerprint of the key, one agent a line.`,
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			known, err := o.Known()
			if err != nil {
				return err
			}
			agents, err := known.List()
			if err != nil {
				return cli.Fail(cli.Usage, err)
			}
			listed := []console.Known{}
			for _, agent := range agents {
				k := knownAgent(agent.Principal, agent.Key)
				listed = append(listed, k)
				a.ui.Result("%s  %s", k.Principal, k.Fingerprint)
			}
			if len(agents) == 0 {
				a.ui.Say("no agent is trusted yet (%s)", known.Path())
			}
			a.ui.Done(console.Report{Trusted: &listed})
			return nil
		},
	}
	o.RegisterKnown(cmd.Flags())
	return cmd
}

func (a *app) trustCommand() *cobra.Command {
	var o trust.Options
	cmd := &cobra.Command{
		Use:   "trust NAME@BROKER KEY|-",
		Short: "Trust an agent with this public key",
		Long: `Trust the agent NAME of BROKER, a host or a URL, with a public key: one line in
OpenSSH's form, or - to read it from standard input. Get the key from the agent's
operator, and not through the broker.

  client agents trust bench@broker.example.org 'ssh-ed25519 AAAA…'
  ssh build1 proxy-agent keygen | client agents trust bench@broker.example.org -`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return cli.Failf(cli.Usage, "client agents trust takes NAME@BROKER and a public key").Hint("see client agents trust --help")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			principal, err := parsePrincipal(args[0])
			if err != nil {
				return err
			}
			line := strings.Join(args[1:], " ")
			if line == "-" {
				text, err := io.ReadAll(io.LimitReader(os.Stdin, maxKeyLine))
				if err != nil {
					return cli.Failf(cli.Usage, "read the public key: %w", err)
				}
				line = strings.TrimSpace(string(text))
			}
			key, err := identity.ParseAuthorizedLine(line)
			if err == nil {
				err = identity.CheckStrength(key.Key)
			}
			if err != nil {
				return cli.Failf(cli.Usage, "the agent's public key: %w", err).
					Hint("it is one line such as: ssh-ed25519 AAAA… bench")
			}
			known, err := o.Known()
			if err != nil {
				return err
			}
			if err := trust.Remember(known, principal, key.Key); err != nil {
				return err
			}
			k := knownAgent(principal, key.Key)
			a.ui.Say("trusted from now on: %s  %s", k.Principal, k.Fingerprint)
			a.ui.Done(console.Report{Trusted: &[]console.Known{k}})
			return nil
		},
	}
	o.RegisterKnown(cmd.Flags())
	return cmd
}

func (a *app) forgetCommand() *cobra.Command {
	var o trust.Options
	cmd := &cobra.Command{
		Use:   "forget NAME@BROKER",
		Short: "Remove an agent from the trusted ones",
		Long: `Remove the agent NAME of BROKER from the list. The next job on it treats it as new;
with --strict-agents it is refused. Its statements can no longer be verified.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return cli.Failf(cli.Usage, "client agents forget takes one NAME@BROKER").Hint("client agents trusted lists them")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			principal, err := parsePrincipal(args[0])
			if err != nil {
				return err
			}
			known, err := o.Known()
			if err != nil {
				return err
			}
			n, err := known.Forget(principal)
			if err != nil {
				return cli.Fail(cli.Usage, err)
			}
			if n == 0 {
				return cli.Failf(cli.Usage, "%s is not trusted, so there is nothing to forget", principal).
					Hint("client agents trusted lists them")
			}
			a.ui.Say("forgotten: %s", principal)
			a.ui.Done(console.Report{Forgotten: principal})
			return nil
		},
	}
	o.RegisterKnown(cmd.Flags())
	return cmd
}

func knownAgent(principal string, key ssh.PublicKey) console.Known {
	return console.Known{Principal: principal, Fingerprint: ssh.FingerprintSHA256(key)}
}

// parsePrincipal parses NAME@BROKER, where BROKER is HOST, HOST:PORT or a URL.
func parsePrincipal(s string) (string, error) {
	i := strings.LastIndexByte(s, '@')
	if i < 1 || i == len(s)-1 {
		return "", cli.Failf(cli.Usage, "%q is not NAME@BROKER", s).Hint("such as bench@broker.example.org")
	}
	broker := s[i+1:]
	if !strings.Contains(broker, "://") {
		broker = "https://" + broker
	}
	origin, err := identity.Origin(broker)
	if err != nil {
		return "", cli.Fail(cli.Usage, fmt.Errorf("%q is not NAME@BROKER: %w", s, err))
	}
	return identity.Principal(s[:i], origin), nil
}
