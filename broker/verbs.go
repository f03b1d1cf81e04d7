package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// requirement turns an action into one that cobra runs once a flag is given.
type requirement func(run func(args []string) error) func(*cobra.Command, []string) error

// require returns the requirement that the flag's value is not empty.
func require(value *string, flag, hint string) requirement {
	return func(run func(args []string) error) func(*cobra.Command, []string) error {
		return func(_ *cobra.Command, args []string) error {
			if *value == "" {
				return usage(fmt.Errorf("%s is missing", flag), hint)
			}
			return run(args)
		}
	}
}

// printJSON prints a list as indented JSON.
func printJSON(w io.Writer, list any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(list)
}
