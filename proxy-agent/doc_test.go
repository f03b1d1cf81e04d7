//go:build unix

package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/spf13/pflag"
)

// TestPageHasEveryFlag compares doc/agent.md with the command line.
func TestPageHasEveryFlag(t *testing.T) {
	page, err := os.ReadFile("../doc/agent.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("(^|[^-a-z])--([a-z][a-z-]*)").FindAllSubmatch(page, -1) {
		named[string(m[2])] = true
	}
	root := newCommand(program{})
	run, _, err := root.Find([]string{"run"})
	if err != nil {
		t.Fatal(err)
	}
	run.Flags().VisitAll(func(f *pflag.Flag) {
		if !named[f.Name] && !f.Hidden {
			t.Errorf("doc/agent.md lacks --%s", f.Name)
		}
	})
	for _, verb := range root.Commands() {
		verb.Flags().VisitAll(func(f *pflag.Flag) { delete(named, f.Name) })
	}
	for name := range named {
		if name != "help" {
			t.Errorf("doc/agent.md has --%s, which does not exist", name)
		}
	}
}
