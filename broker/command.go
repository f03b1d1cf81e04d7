package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/common/command"
)

const longHelp = `The broker introduces clients, which have projects, to agents, which build them. It
passes their offers and answers on; source, logs and firmware go directly between
the two.

Agents are listed in a file in OpenSSH's authorized_keys format, one public key
a line, with the agent's name as the comment; broker agents edits it. The file is
read again when it changes, and on SIGHUP.

Users sign in with access keys, which broker users makes, with SSH keys, or with
OIDC tokens such as GitHub's, which CI jobs have without any secret. The three may
be combined. Each user has limits. With --open no user has to sign in.

The key that signs grants is made on the first start and kept in --state-dir;
broker keys rotates it. A broker that restarts with the same folder continues its
jobs.

The first SIGINT or SIGTERM drains: waiting requests end, and offers that an agent
has claimed are still answered. The second stops at once.`

const examples = `  # On a public host, with a certificate by ACME:
  broker --acme-hostnames broker.example.org \
         --authorized-agents agents --state-dir /var/lib/farforge --users users

  # On one machine, to try it out:
  broker --addr 127.0.0.1:0 --disable-tls --addr-file addr \
         --authorized-agents agents --state-dir state --open`

// newCommand returns the command line; serve is called with a valid Config.
func newCommand(serve func(*Config) error) *cobra.Command {
	cfg := &Config{}
	root := &cobra.Command{
		Use:     "broker",
		Short:   "Introduce clients to build agents",
		Long:    longHelp,
		Example: examples,
		RunE: func(*cobra.Command, []string) error {
			if err := cfg.Validate(); err != nil {
				return err
			}
			return serve(cfg)
		},
	}
	root.AddCommand(agentsCommand(os.Stdin, os.Stdout), usersCommand(os.Stdout), keysCommand(os.Stdout))
	cfg.Register(root.Flags())
	command.Finish(root)
	return root
}
