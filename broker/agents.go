package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/common/command"
	"github.com/farforge/farforge/common/identity"
)

// agentsCommand returns the verb that edits the list of agents.
func agentsCommand(stdin io.Reader, stdout io.Writer) *cobra.Command {
	var path string
	required := require(&path, "--authorized-agents", "name the file that the broker runs with")
	cmd := command.Group(&cobra.Command{
		Use:   "agents",
		Short: "List, add and remove authorized agents",
		Long: `Edits the file that --authorized-agents names. A running broker applies the change
within a second: a removed agent loses its session at once and gets no more jobs.

The file has OpenSSH's authorized_keys format, one agent a line: options, public
key, name. Three options are known:

  targets="esp32,esp32c3"   build only for these; jobs that name no target
                            go to other agents
  tags="eu,reviewed"        tags that clients can ask for, instead of the
                            agent's own
  expiry-time="20271231"    not after this day begins; YYYYMMDD[Z] or
                            YYYYMMDDHHMM[SS][Z], Z is UTC`,
		Example: `  proxy-agent keygen --name anvil | broker agents add --authorized-agents agents
  broker agents list --authorized-agents agents
  broker agents remove anvil --authorized-agents agents`,
	}, addAgentCommand(&path, required, stdin, stdout), removeAgentCommand(&path, required, stdout), listAgentsCommand(&path, required, stdout))
	cmd.PersistentFlags().StringVar(&path, "authorized-agents", "", "use the list of agents in this `FILE` in authorized_keys format")
	return cmd
}

func addAgentCommand(path *string, required requirement, stdin io.Reader, stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "add [LINE|-]",
		Short: "Add agents by their public keys",
		Long: `Adds a line, such as proxy-agent keygen prints it, or all lines of standard input:
all of them or none. A key or a name that is already listed is refused. A missing
file is created.`,
		Args: cobra.MaximumNArgs(1),
		RunE: required(func(args []string) error {
			text := "-"
			if len(args) > 0 {
				text = args[0]
			}
			if text == "-" {
				data, err := io.ReadAll(io.LimitReader(stdin, identity.MaxAuthorizedFile+1))
				if err != nil {
					return usage(fmt.Errorf("read standard input: %w", err))
				}
				text = string(data)
			}
			added, err := directory.AddLines(*path, text)
			if err != nil {
				return agentsFailed(err)
			}
			for _, a := range added {
				fmt.Fprintf(stdout, "added %s, %s\n", a.Name, a.Fingerprint)
			}
			return nil
		}),
	}
}

func removeAgentCommand(path *string, required requirement, stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "remove NAME|FINGERPRINT",
		Short: "Remove an agent",
		Args:  cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			agents, _ := directory.ReadFile(*path, func(error) {}) // without a list there is nothing to complete
			var names []cobra.Completion
			for _, a := range agents {
				names = append(names, a.Name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: required(func(args []string) error {
			removed, err := directory.RemoveLine(*path, args[0])
			if err != nil {
				return agentsFailed(err)
			}
			fmt.Fprintf(stdout, "removed %s, %s\n", removed.Name, removed.Fingerprint)
			return nil
		}),
	}
}

func listAgentsCommand(path *string, required requirement, stdout io.Writer) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the authorized agents",
		Args:  cobra.NoArgs,
		RunE: required(func([]string) error {
			agents, err := directory.ReadFile(*path, func(err error) { fmt.Fprintf(os.Stderr, "warning: %v\n", err) })
			if err != nil {
				return usage(fmt.Errorf("read the list of agents: %w", err))
			}
			if asJSON {
				return agentsJSON(stdout, agents)
			}
			return agentsTable(stdout, agents, time.Now())
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func agentsFailed(err error) error {
	switch {
	case errors.Is(err, directory.ErrNotListed):
		return usage(err, "see: broker agents list")
	case errors.Is(err, directory.ErrListed):
		return usage(err, "to change its line, remove it first: broker agents remove")
	case errors.Is(err, directory.ErrBadLine):
		return usage(err, "give one public key a line, as proxy-agent keygen or ssh-keygen prints it")
	default:
		return usage(err)
	}
}

// agentsTable prints a table. identity.ParseAuthorizedEntry makes sure that names
// are printable.
func agentsTable(w io.Writer, agents []identity.Authorized, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tFINGERPRINT\tTYPE\tTARGETS\tTAGS\tEXPIRES")
	for _, a := range agents {
		targets, tags, expires := "any", "its own", "never"
		if len(a.Targets) > 0 {
			targets = strings.Join(a.Targets, ",")
		}
		if len(a.Tags) > 0 {
			tags = strings.Join(a.Tags, ",")
		}
		if !a.Expires.IsZero() {
			expires = a.Expires.Format(time.RFC3339)
		}
		if a.Expired(now) {
			expires += " (over)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", a.Name, a.Fingerprint, a.Key.Type(), targets, tags, expires)
	}
	return t.Flush()
}

// listedAgent is an element of the output of agents list --json.
type listedAgent struct {
	Name        string     `json:"name"`
	Fingerprint string     `json:"fingerprint"`
	PublicKey   string     `json:"public_key"`
	Targets     []string   `json:"targets,omitempty"`
	Tags        []string   `json:"tags,omitempty"`
	Expires     *time.Time `json:"expires,omitempty"`
}

func agentsJSON(w io.Writer, agents []identity.Authorized) error {
	out := make([]listedAgent, len(agents))
	for i, a := range agents {
		out[i] = listedAgent{
			Name: a.Name, Fingerprint: a.Fingerprint, Targets: a.Targets, Tags: a.Tags,
			PublicKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(a.Key))),
		}
		if !a.Expires.IsZero() {
			out[i].Expires = &a.Expires
		}
	}
	return printJSON(w, out)
}
