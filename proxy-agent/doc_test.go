//go:build unix

package main

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/spf13/pflag"
)

// TestPageKnowsEveryFlag compares doc/agent.md with the command line.
func TestPageKnowsEveryFlag(t *testing.T) {
	page, err := os.ReadFile("../doc/agent.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("(^|[^-a-z])--([a-z][a-z-]*)").FindAllSubmatch(page, -1) {
		named[string(m[2])] = true
	}
	run, _, err := newCommand(program{}).Find([]string{"run"})
	if err != nil {
		t.Fatal(err)
	}
	run.Flags().VisitAll(func(f *pflag.Flag) {
		if !named[f.Name] && !f.Hidden {
			t.Errorf("doc/agent.md does not tell of --%s", f.Name)
		}
		delete(named, f.Name)
	})
	for name := range named {
		if !slices.Contains([]string{"help"}, name) {
			t.Errorf("doc/agent.md tells of --%s, which there is not", name)
		}
	}
}
