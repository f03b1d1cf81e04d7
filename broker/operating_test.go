package main

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/farforge/farforge/common/identity"
)

// TestPageOnAgentsAndKeys parses the list of agents in doc/operating.md, and looks
// up its commands and flags.
func TestPageOnAgentsAndKeys(t *testing.T) {
	page, err := os.ReadFile("../doc/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```agents\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("the page shows no list of agents")
	}
	agents, err := identity.ParseAuthorized(block[1])
	if err != nil || len(agents) != 2 || agents[0].Name != "anvil" || len(agents[1].Targets) != 2 || agents[1].Expires.Year() != 2027 {
		t.Errorf("%+v, %v", agents, err)
	}
	lines := regexp.MustCompile(`(?m)^broker (agents|keys) .*$`).FindAllString(string(page), -1)
	if len(lines) != 6 {
		t.Errorf("the page shows %d commands", len(lines))
	}
	for _, line := range lines {
		line = regexp.MustCompile(`'[^']*'`).ReplaceAllString(line, "LINE")
		root := newCommand(func(*Config) error { return nil })
		root.SetOut(io.Discard)
		cmd, args, err := root.Find(strings.Fields(line)[1:])
		if err == nil {
			err = cmd.ParseFlags(args)
		}
		if err == nil {
			err = cmd.ValidateArgs(cmd.Flags().Args())
		}
		if err != nil || cmd.HasSubCommands() {
			t.Errorf("%s: %v", line, err)
		}
	}
	for _, flag := range []string{"authorized-agents", "admin-token-file", "state-dir"} {
		if newCommand(nil).Flags().Lookup(flag) == nil || !strings.Contains(string(page), "`--"+flag) {
			t.Errorf("--%s is not in both the page and the command", flag)
		}
	}
}
