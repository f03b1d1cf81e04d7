package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func keygenCommand(p program) *cobra.Command {
	var c stateConfig
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "Print the agent's public line; make its key if there is none",
		Long: `Makes an ed25519 key in OpenSSH format, readable by its owner only, unless the
agent already has a key. Any key that ssh-keygen makes will do, with a passphrase
or in ssh-agent (then name the .pub file). Prints the public key as one line for
the broker's file of authorized agents, and nothing else.`,
		Example: `  proxy-agent keygen --name anvil
  proxy-agent keygen | ssh broker.example.org 'cat >> /etc/farforge/authorized_agents'`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := c.Validate(); err != nil {
				return err
			}
			key, _, err := p.openKey(&c, true)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(p.stdout, key.PublicLine(c.Name))
			return err
		},
	}
	c.Register(cmd.Flags())
	return cmd
}
