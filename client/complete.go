package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/client/trust"
	"github.com/farforge/farforge/common/command"
	"github.com/farforge/farforge/common/flash/chips"
	"github.com/farforge/farforge/common/flash/serialport"
	"github.com/farforge/farforge/common/front"
	"github.com/farforge/farforge/common/signaling"
)

// completeValues completes flags of cmd and of all its verbs. Nothing is sent and
// no port is opened.
func completeValues(cmd *cobra.Command) {
	lists := map[string]func(*cobra.Command) []string{
		"port":          func(*cobra.Command) []string { return portNames() },
		"chip":          func(*cobra.Command) []string { return chipNames() },
		"target":        func(*cobra.Command) []string { return chipNames() },
		"agent":         knownNames,
		"exclude-agent": knownNames,
		"before":        func(*cobra.Command) []string { return []string{"default_reset", "usb_reset", "no_reset"} },
		"after": func(*cobra.Command) []string {
			return []string{"hard_reset", "soft_reset", "watchdog_reset", "no_reset"}
		},
		"flash-mode": func(*cobra.Command) []string { return []string{"keep", "qio", "qout", "dio", "dout"} },
		"flash-size": func(*cobra.Command) []string {
			return []string{"keep", "detect", "1MB", "2MB", "4MB", "8MB", "16MB", "32MB", "64MB", "128MB"}
		},
		"rendezvous": func(*cobra.Command) []string {
			return []string{signaling.LegDirect, signaling.LegFront, signaling.LegAMP}
		},
		"utls-imitate": func(*cobra.Command) []string { return front.Names() },
		"oidc":         func(*cobra.Command) []string { return []string{"github"} },
	}
	for flag, list := range lists {
		if cmd.Flags().Lookup(flag) != nil {
			command.Complete(cmd, flag, list)
		}
	}
	for _, verb := range cmd.Commands() {
		completeValues(verb)
	}
}

func portNames() []string {
	ports, _ := serialport.List() // without ports the completion is empty
	var names []string
	for _, p := range ports {
		names = append(names, p.Name)
	}
	return names
}

// knownNames returns the names of trusted agents.
func knownNames(cmd *cobra.Command) []string {
	var o trust.Options
	if f := cmd.Flags().Lookup("known-agents"); f != nil {
		o.KnownAgents = f.Value.String()
	}
	known, err := o.Known()
	if err != nil {
		return nil
	}
	agents, _ := known.List() // without a list the completion is empty
	var names []string
	for _, agent := range agents {
		name, _, _ := strings.Cut(agent.Principal, "@")
		names = append(names, name)
	}
	return names
}

func chipNames() []string {
	var names []string
	for _, c := range chips.All() {
		names = append(names, c.Name)
	}
	return names
}
