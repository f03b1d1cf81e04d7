package identity

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/wholefile"
)

// knownLine is a line of a known_agents file. agent is nil for a blank line and for
// a comment.
type knownLine struct {
	text  string
	agent *KnownAgent
	rest  string // options and key
}

func parseKnown(data []byte, path string) ([]knownLine, error) {
	fail := func(err error) ([]knownLine, error) { return nil, fmt.Errorf("read the known agents: %s%w", path, err) }
	if len(data) > MaxAuthorizedFile {
		return fail(fmt.Errorf(" is longer than %d bytes", MaxAuthorizedFile))
	}
	data, err := wholefile.Text(data)
	if err != nil {
		return fail(fmt.Errorf(": %w", err))
	}
	var lines []knownLine
	for raw := range bytes.Lines(data) {
		l, err := parseKnownLine(strings.Trim(string(raw), blanks))
		if err != nil {
			return fail(fmt.Errorf(", line %d: %w", len(lines)+1, err))
		}
		if l.agent != nil {
			l.agent.Line = len(lines) + 1
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// blanks separate the fields of a line for OpenSSH.
const blanks = " \t\r\n"

// parseKnownLine reads PRINCIPALS [OPTIONS] KEYTYPE KEY [COMMENT].
func parseKnownLine(text string) (knownLine, error) {
	l := knownLine{text: text}
	if text == "" || text[0] == '#' {
		return l, nil
	}
	if strings.ContainsAny(text, "\x00\r\n") {
		return l, errors.New("it has a control character")
	}
	principals, rest, err := cutPrincipals(text)
	if err != nil {
		return l, err
	}
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(rest))
	if err != nil {
		return l, fmt.Errorf("no public key in OpenSSH format follows the names: %w", err)
	}
	agent := &KnownAgent{Principal: principals, Key: key}
	if err := agent.obey(options); err != nil {
		return l, err
	}
	l.agent, l.rest = agent, rest
	return l, nil
}

func isBlank(r rune) bool { return strings.ContainsRune(blanks, r) }

// cutPrincipals cuts the first field off a line. It may be in double quotes.
func cutPrincipals(text string) (principals, rest string, err error) {
	if inner, ok := strings.CutPrefix(text, `"`); ok {
		principals, rest, ok = strings.Cut(inner, `"`)
		if !ok || rest == "" || !isBlank(rune(rest[0])) {
			return "", "", errors.New("the double quote before the names is not closed")
		}
	} else if i := strings.IndexFunc(text, isBlank); i < 0 {
		return "", "", errors.New("it has no public key")
	} else {
		principals, rest = text[:i], text[i:]
	}
	if strings.Contains(principals, `"`) {
		return "", "", errors.New("it has a double quote within the names")
	}
	for name := range strings.SplitSeq(principals, ",") {
		if name == "" || name == "!" {
			return "", "", errors.New("it has an empty name")
		}
		if len(name) > maxPattern {
			return "", "", fmt.Errorf("it has a name of more than %d bytes", maxPattern)
		}
	}
	return principals, strings.Trim(rest, blanks), nil
}

// maxPattern bounds a pattern, in bytes. OpenSSH matches no longer pattern.
const maxPattern = 1000

// quoted writes names as cutPrincipals reads them.
func quoted(principals string) string {
	if strings.ContainsFunc(principals, isBlank) {
		return `"` + principals + `"`
	}
	return principals
}

// obey applies the options of allowed_signers. One that cannot be obeyed is an error.
func (a *KnownAgent) obey(options []string) error {
	err := eachOption(options, func(name, value string) (err error) {
		switch name {
		case "valid-after":
			a.After, err = parseExpiry(name, value)
		case "valid-before":
			a.Before, err = parseExpiry(name, value)
		case "namespaces":
			for _, namespace := range agentNamespaces() {
				if !matchList(value, namespace) {
					err = fmt.Errorf("namespaces: agents sign for %s; write namespaces=\"*@farforge\" or leave the option out", namespace)
				}
			}
		case "cert-authority":
			err = errors.New("cert-authority: agents have no certificates; list their keys")
		default:
			err = fmt.Errorf("the option %q is unknown; valid-after, valid-before and namespaces are known", name)
		}
		return err
	})
	if err != nil {
		return err
	}
	if !a.After.IsZero() && !a.Before.IsZero() && !a.Before.After(a.After) {
		return errors.New("valid-before is not later than valid-after")
	}
	return nil
}

// agentNamespaces are the namespaces in which a client verifies agents' signatures.
func agentNamespaces() []string {
	return []string{"job-answer@farforge", "sealing-key@farforge", "build-provenance@farforge"}
}

// matchList matches a name against OpenSSH's pattern-list: patterns with * and ?,
// separated by commas. One that begins with ! and matches excludes the name.
func matchList(list, name string) bool {
	found := false
	for pattern := range strings.SplitSeq(list, ",") {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if !matchPattern(pattern, name) {
			continue
		}
		if negated {
			return false
		}
		found = true
	}
	return found
}

// matchPattern matches a name against one pattern in time proportional to the
// product of their lengths.
func matchPattern(pattern, name string) bool {
	star, mark := -1, 0
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
