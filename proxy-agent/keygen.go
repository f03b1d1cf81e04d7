package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func keygenCommand(p program, cfg *Config) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "Make the agent's key, if there is none, and print its public line",
		Long: `Makes an ed25519 key in OpenSSH format, readable by its owner only, unless there
is one already: any that ssh-keygen makes will do, with a passphrase or in
ssh-agent (name the .pub file then). Prints the public key as one line for the broker's file of
authorized agents, and nothing else.`,
		Example: `  proxy-agent keygen --name anvil
  proxy-agent keygen | ssh broker.example.org 'cat >> /etc/farforge/authorized_agents'`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := cfg.validateState(); err != nil {
				return err
			}
			key, _, err := p.openKey(cfg, true)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(p.stdout, key.PublicLine(cfg.Name))
			return err
		},
	}
	stateFlags(cmd.Flags(), cfg)
	return cmd
}
