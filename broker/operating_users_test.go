package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/farforge/farforge/broker/users"
)

// usersPage returns the section Users of the operators' page.
func usersPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../doc/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(page), "\n## Users\n")
	if !ok {
		t.Fatal("the page has no section Users")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}

// TestPageOnUsers parses the examples of doc/operating.md as the broker does.
func TestPageOnUsers(t *testing.T) {
	page := usersPage(t)
	block := func(kind string) string {
		m := regexp.MustCompile("(?s)```" + kind + "\n(.*?)```").FindStringSubmatch(page)
		if m == nil {
			t.Fatalf("the page has no %s", kind)
		}
		return m[1]
	}
	if got := strings.TrimSpace(block("regexp")); got != users.KeyPattern {
		t.Errorf("the page says that keys look like %s, they look like %s", got, users.KeyPattern)
	}
	if entries, err := users.ParseFile([]byte(block("users"))); err != nil || len(entries) != 4 {
		t.Errorf("%d users, %v", len(entries), err)
	}
	rules := 0
	for _, m := range regexp.MustCompile(`--oidc-allow '([^']+)'`).FindAllStringSubmatch(page, -1) {
		rules++
		if _, err := users.ParseRule(m[1]); err != nil {
			t.Error(err)
		}
	}
	if rules != 2 {
		t.Errorf("the page has %d rules", rules)
	}

	cmd := newCommand(func(*Config) error { return nil })
	add, _, err := cmd.Find([]string{"users", "add"})
	if err != nil {
		t.Fatal(err)
	}
	client := map[string]bool{"url": true, "oidc": true}
	for _, m := range regexp.MustCompile(`--([a-z][a-z-]+)`).FindAllStringSubmatch(page, -1) {
		if cmd.Flags().Lookup(m[1]) == nil && add.Flags().Lookup(m[1]) == nil && !client[m[1]] {
			t.Errorf("there is no flag --%s", m[1])
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| (\\S+) \\|").FindAllStringSubmatch(page, -1) {
		if f := cmd.Flags().Lookup(m[1]); f == nil || strings.TrimSuffix(f.DefValue, "0m0s") != m[2] {
			t.Errorf("--%s does not default to %s", m[1], m[2])
		}
	}
	for _, word := range []string{"address", "no_token", "bad_token", "expired", "not_allowed", "issuer_unavailable", "user_grants", "user_jobs", "user_sessions"} {
		if !strings.Contains(page, "`"+word+"`") {
			t.Errorf("the page does not mention refusals for %s", word)
		}
	}
}
