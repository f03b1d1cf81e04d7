package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/broker/keyring"
	"github.com/farforge/farforge/common/command"
)

// keysCommand returns the verb that lists and rotates the grant signing keys.
func keysCommand(stdout io.Writer) *cobra.Command {
	var dir string
	required := require(&dir, "--state-dir", "name the folder that the broker runs with")
	cmd := command.Group(&cobra.Command{
		Use:   "keys",
		Short: "List and rotate the grant signing keys",
		Long: `Lists and rotates the keys in the folder that --state-dir names. A running broker
applies a rotation within a second, without a restart and without ending a
session.

After a rotation the new key signs. The old key has signed the new one, so agents
that have pinned the old key accept it, and the old private half is erased. The
old key verifies what it signed until the overlap ends.`,
		Example: `  broker keys list --state-dir /var/lib/farforge
  broker keys rotate --state-dir /var/lib/farforge`,
	}, listKeysCommand(&dir, required, stdout), rotateKeysCommand(&dir, required, stdout))
	cmd.PersistentFlags().StringVar(&dir, "state-dir", "", "use the grant signing keys in `DIR`")
	return cmd
}

func listKeysCommand(dir *string, required requirement, stdout io.Writer) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the keys, the signing one last",
		Args:  cobra.NoArgs,
		RunE: required(func([]string) error {
			keys, rotations, err := keyring.List(*dir, time.Now())
			if err != nil {
				return usage(err, "start a broker with this folder; it makes the first key")
			}
			if asJSON {
				return keysJSON(stdout, keys)
			}
			return keysTable(stdout, keys, rotations)
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func rotateKeysCommand(dir *string, required requirement, stdout io.Writer) *cobra.Command {
	var overlap time.Duration
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new signing key",
		Args:  cobra.NoArgs,
		RunE: required(func([]string) error {
			old, fresh, err := keyring.Rotate(*dir, overlap, time.Now())
			if err != nil {
				return usage(err)
			}
			fmt.Fprintf(stdout, "%s signs from now on\n%s verifies until %s\n", fresh.ID, old.ID, old.Retires.Format(time.RFC3339))
			return nil
		}),
	}
	cmd.Flags().DurationVar(&overlap, "overlap", 24*time.Hour, "let the old key verify for this `TIME`, at least 5m")
	return cmd
}

func keysTable(w io.Writer, keys []keyring.Key, rotations int) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tCREATED\tUSE")
	for _, k := range keys {
		use := "signs"
		if !k.Retires.IsZero() {
			use = "verifies until " + k.Retires.Format(time.RFC3339)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", k.ID, k.Created.Format(time.RFC3339), use)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d rotations lead to the key that signs\n", rotations)
	return err
}

// listedKey is an element of the output of keys list --json.
type listedKey struct {
	ID      string     `json:"id"`
	Created time.Time  `json:"created"`
	Signs   bool       `json:"signs"`
	Retires *time.Time `json:"retires,omitempty"`
}

func keysJSON(w io.Writer, keys []keyring.Key) error {
	out := make([]listedKey, len(keys))
	for i, k := range keys {
		out[i] = listedKey{ID: k.ID, Created: k.Created, Signs: k.Retires.IsZero()}
		if !k.Retires.IsZero() {
			out[i].Retires = &k.Retires
		}
	}
	return printJSON(w, out)
}
