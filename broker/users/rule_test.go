package users

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestRules(t *testing.T) {
	const claims = `{
		"repository": "acme/lamp", "repository_owner": "acme", "ref": "refs/heads/release/1.2",
		"sub": "repo:acme/lamp:ref:refs/heads/main", "groups": ["students", "lab"], "run_attempt": 3,
		"email_verified": true, "nothing": null, "nested": {"a": "b"}, "deep": [["lab"]]
	}`
	var c map[string]any
	if err := json.Unmarshal([]byte(claims), &c); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		rule string
		want bool
	}{
		{"repository=acme/lamp", true},
		{"repository=acme/*", true},
		{"repository=acme/l?mp", true},
		{"repository=acme*", false}, // * matches no slash
		{"repository=acme**", true},
		{"repository=*/lamp", true},
		{"repository=acme/lam", false},
		{"repository=cme/lamp", false},
		{"repository=ACME/lamp", false},
		{"repository=acme.lamp", false}, // . matches a dot only
		{"repository=acme/[a-z]*", false},
		{"ref=refs/heads/release/*", true},
		{"ref=refs/heads/*", false},
		{"ref=refs/**/1.2", true},
		{"sub=repo:acme/lamp:*", false},
		{"sub=repo:acme/lamp:**", true},
		{"repository=acme/*,ref=refs/heads/release/*", true},
		{"repository=acme/*,ref=refs/heads/main", false},
		{"groups=lab", true},
		{"groups=staff", false},
		{"run_attempt=3", true},
		{"email_verified=true", true},
		{"nothing=x*", false},
		{"absent=x", false},
		{"nested=b", false},
		{"deep=lab", false},
		{"repository=acme/*,repository_owner=*", true},
	} {
		r, err := ParseRule(tt.rule)
		if err != nil {
			t.Errorf("%s: %v", tt.rule, err)
			continue
		}
		if got := r.Admits(c); got != tt.want {
			t.Errorf("%s: %v", tt.rule, got)
		}
	}
	if (Rule{}).Admits(c) {
		t.Error("an empty rule admits")
	}
}

func TestBadRules(t *testing.T) {
	for _, text := range []string{"", "repository", "repository=", "=x", "a b=c", "repository=a,", ",repository=a"} {
		if _, err := ParseRule(text); err == nil || !strings.Contains(err.Error(), "CLAIM=GLOB") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"repository=*", "repository=**", "repository=*/*", "repository=?**,ref=**"} {
		if _, err := ParseRule(text); err == nil || !strings.Contains(err.Error(), "admits everybody") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Every glob compiles, and one without wildcards matches only itself.
func FuzzRule(f *testing.F) {
	f.Add("repository=acme/*", "acme/lamp")
	f.Add("a=\xff?", "\xff\xff")
	f.Add("a=(**", "(")
	f.Fuzz(func(t *testing.T, text, value string) {
		r, err := ParseRule(text)
		if err != nil {
			return
		}
		claim, glob, _ := strings.Cut(text, "=")
		admitted := r.Admits(map[string]any{claim: value})
		if !strings.ContainsAny(text, "*?,") && admitted != (glob == value) {
			t.Errorf("%q and %q: %v", text, value, admitted)
		}
	})
}
