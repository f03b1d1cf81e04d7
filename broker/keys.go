package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/broker/keyring"
)

// keysCommand returns the verb that shows and rotates the grant signing keys.
func keysCommand(stdout io.Writer) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Show and rotate the keys that sign grants",
		Long: `Shows and rotates the keys in the folder that --state-dir names. A broker that
runs with it takes a rotation up within a second; nothing has to be restarted,
and no session ends.

After a rotation the new key signs at once. The old one vouches for it, so that
agents which have pinned the old key follow; its private half is erased. It goes
on to verify what it has signed until the overlap ends.`,
		Example: `  broker keys list --state-dir /var/lib/farforge
  broker keys rotate --state-dir /var/lib/farforge`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&dir, "state-dir", "", "the `DIR` that keeps the grant signing keys")
	need := needs(&dir, "--state-dir", "name the folder that the broker runs with")
	var asJSON bool
	list := &cobra.Command{
		Use:   "list",
		Short: "Show the keys, the one that signs last",
		Args:  cobra.NoArgs,
		RunE: need(func([]string) error {
			keys, rotations, err := keyring.List(dir, time.Now())
			if err != nil {
				return usage(err, "a broker that is started with this folder makes the first key")
			}
			if asJSON {
				return keysJSON(stdout, keys)
			}
			return keysTable(stdout, keys, rotations)
		}),
	}
	list.Flags().BoolVar(&asJSON, "json", false, "print JSON, for programs")

	var overlap time.Duration
	rotate := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new key that signs from now on",
		Args:  cobra.NoArgs,
		RunE: need(func([]string) error {
			old, fresh, err := keyring.Rotate(dir, overlap, time.Now())
			if err != nil {
				return usage(err)
			}
			fmt.Fprintf(stdout, "%s signs from now on\n%s verifies until %s\n", fresh.ID, old.ID, old.Retires.Format(time.RFC3339))
			return nil
		}),
	}
	rotate.Flags().DurationVar(&overlap, "overlap", 24*time.Hour, "how long the old key still verifies, at least 5m")
	cmd.AddCommand(list, rotate)
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

// listedKey is an element of what keys list --json prints.
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
