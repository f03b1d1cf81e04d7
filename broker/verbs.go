package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// needs returns what makes the commands of a verb that is about the file or
// folder at path: without it, which flag gives, they do not run.
func needs(path *string, flag, hint string) func(func(args []string) error) func(*cobra.Command, []string) error {
	return func(run func(args []string) error) func(*cobra.Command, []string) error {
		return func(_ *cobra.Command, args []string) error {
			if *path == "" {
				return usage(fmt.Errorf("%s is missing", flag), hint)
			}
			return run(args)
		}
	}
}

// printJSON prints a list for programs.
func printJSON(w io.Writer, list any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(list)
}
