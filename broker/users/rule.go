package users

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Rule admits tokens by their claims. All terms of a rule must match.
type Rule struct{ terms []term }

type term struct {
	claim string
	glob  *regexp.Regexp
}

var claimForm = regexp.MustCompile(`^[A-Za-z0-9_.:/-]{1,128}$`)

// ParseRule reads CLAIM=GLOB[,CLAIM=GLOB]…. In a glob * stands for any run of
// characters without a slash, ** for any run, and ? for one character but a
// slash. A rule that admits everybody is refused.
func ParseRule(text string) (Rule, error) {
	var r Rule
	selective := false
	for part := range strings.SplitSeq(text, ",") {
		claim, glob, ok := strings.Cut(part, "=")
		if !ok || !claimForm.MatchString(claim) || glob == "" {
			return Rule{}, fmt.Errorf("%q is not CLAIM=GLOB, such as repository=acme/*", part)
		}
		selective = selective || strings.Trim(glob, "*?/") != ""
		re, err := regexp.Compile(globPattern(glob))
		if err != nil {
			return Rule{}, fmt.Errorf("%q: %w", part, err)
		}
		r.terms = append(r.terms, term{claim, re})
	}
	if !selective {
		return Rule{}, fmt.Errorf("%q admits everybody with an account at the issuer; name a value", text)
	}
	return r, nil
}

func globPattern(glob string) string {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for i := 0; i < len(glob); i++ {
		switch {
		case strings.HasPrefix(glob[i:], "**"):
			b.WriteString(`.*`)
			i++
		case glob[i] == '*':
			b.WriteString(`[^/]*`)
		case glob[i] == '?':
			b.WriteString(`[^/]`)
		default:
			n := strings.IndexAny(glob[i:], "*?")
			if n < 0 {
				n = len(glob) - i
			}
			b.WriteString(regexp.QuoteMeta(glob[i : i+n]))
			i += n - 1
		}
	}
	b.WriteString(`\z`)
	return b.String()
}

// Admits reports whether the claims of a verified token match the rule. One
// value of a claim with many values, such as groups, must match. A missing
// claim matches nothing.
func (r Rule) Admits(claims map[string]any) bool {
	for _, t := range r.terms {
		if !t.holds(claims[t.claim]) {
			return false
		}
	}
	return len(r.terms) > 0
}

func (t term) holds(value any) bool {
	switch v := value.(type) {
	case string:
		return t.glob.MatchString(v)
	case bool:
		return t.glob.MatchString(strconv.FormatBool(v))
	case float64:
		return t.glob.MatchString(strconv.FormatFloat(v, 'f', -1, 64))
	case []any:
		for _, x := range v {
			if _, nested := x.([]any); !nested && t.holds(x) {
				return true
			}
		}
	}
	return false
}
