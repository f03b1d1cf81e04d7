package users

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/farforge/farforge/broker/quota"
)

// MaxFile bounds a users file and an authorized_users file, in bytes.
const MaxFile = 4 << 20

// Prefixes of user ids, and the id of users without a token.
const (
	prefixKey  = "key:"
	prefixSSH  = "ssh:"
	prefixOIDC = "oidc:"
	Anyone     = "anyone"
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$`)

// Entry is one line of a users file: a user with an access key, or the limits
// of a user of any kind.
//
//	key:alice id=mfrggzdfmztwq2lk sha256=9f86d0… created=2026-11-20T18:55:56Z expires=2027-11-20T00:00:00Z jobs=2
//	ssh:SHA256:2ZZBL8fbvGTlPjCHmXSzy4mA2mEJfQ5aMKwTzJrDLWo grants=10 sessions=4h
//	oidc:https://token.actions.githubusercontent.com#repo:acme/lamp:ref:refs/heads/main jobs=8
type Entry struct {
	// User is the stable id, such as "key:alice".
	User string
	// KeyID and Hash are those of the access key; both are zero for users who
	// authenticate in another way.
	KeyID string
	Hash  [sha256.Size]byte
	// Created is when the key was made; Expires, if not zero, when it ends.
	Created, Expires time.Time
	// Limits are the user's own. The broker's defaults fill in the others.
	Limits quota.Limits
}

// Name is the user's name in commands: without "key:".
func (e *Entry) Name() string { return strings.TrimPrefix(e.User, prefixKey) }

// Expired reports whether the key has ended.
func (e *Entry) Expired(now time.Time) bool { return !e.Expires.IsZero() && !now.Before(e.Expires) }

// String writes the line.
func (e *Entry) String() string {
	words := []string{e.User}
	if e.KeyID != "" {
		words = append(words, "id="+e.KeyID, "sha256="+hex.EncodeToString(e.Hash[:]), "created="+stamp(e.Created))
		if !e.Expires.IsZero() {
			words = append(words, "expires="+stamp(e.Expires))
		}
	}
	if limits := e.Limits.String(); limits != "" {
		words = append(words, limits)
	}
	return strings.Join(words, " ")
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// line is one line of the file; entry is nil for blanks and comments.
type line struct {
	text  string
	entry *Entry
}

// ParseFile reads a users file: one [Entry] a line. Blank lines and lines that
// begin with # are ignored. Any other fault, and a user or key on two lines, is
// an error that names the line.
func ParseFile(data []byte) ([]*Entry, error) {
	lines, err := parseLines(data)
	if err != nil {
		return nil, err
	}
	var entries []*Entry
	for _, l := range lines {
		if l.entry != nil {
			entries = append(entries, l.entry)
		}
	}
	return entries, nil
}

func parseLines(data []byte) ([]line, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("the list of users is longer than %d bytes", MaxFile)
	}
	var lines []line
	seen := map[string]int{}
	for raw := range bytes.Lines(data) {
		l := line{text: strings.TrimSpace(string(raw))}
		if l.text != "" && l.text[0] != '#' {
			e, err := parseEntry(l.text)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", len(lines)+1, err)
			}
			for _, id := range []string{e.User, e.KeyID} {
				if first, dup := seen[id]; dup && id != "" {
					return nil, fmt.Errorf("line %d: %s is on line %d already", len(lines)+1, id, first)
				}
				seen[id] = len(lines) + 1
			}
			l.entry = e
		}
		lines = append(lines, l)
	}
	return lines, nil
}

func parseEntry(text string) (*Entry, error) {
	words := strings.Fields(text)
	e := &Entry{User: words[0]}
	if err := checkUser(e.User); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, word := range words[1:] {
		name, value, ok := strings.Cut(word, "=")
		if !ok || seen[name] {
			return nil, fmt.Errorf("%q is not NAME=VALUE, or is in the line twice", word)
		}
		seen[name] = true
		if err := e.set(name, value); err != nil {
			return nil, err
		}
	}
	isKey := strings.HasPrefix(e.User, prefixKey)
	for _, name := range []string{"id", "sha256", "created"} {
		if seen[name] != isKey {
			return nil, fmt.Errorf("%s: %s= belongs to a user with %s, and only there", e.User, name, prefixKey)
		}
	}
	if seen["expires"] && !isKey {
		return nil, fmt.Errorf("%s: only an access key expires", e.User)
	}
	return e, nil
}

func checkUser(id string) error {
	strange := func(r rune) bool { return r <= ' ' || r > '~' }
	switch {
	case id == Anyone:
	case strings.HasPrefix(id, prefixKey):
		if name := strings.TrimPrefix(id, prefixKey); !nameForm.MatchString(name) {
			return fmt.Errorf("%q is not a user's name: letters, digits and ._@+- up to 64", name)
		}
	case len(id) > 512 || strings.ContainsFunc(id, strange):
		return fmt.Errorf("%.60q is not a user: it is longer than 512 bytes or not plain ASCII", id)
	case strings.HasPrefix(id, prefixSSH+"SHA256:"), strings.HasPrefix(id, prefixOIDC+"https://") && strings.Contains(id, "#"):
	default:
		return fmt.Errorf("%q is not a user: key:NAME, ssh:SHA256:…, oidc:ISSUER#SUBJECT or anyone", id)
	}
	return nil
}

func (e *Entry) set(name, value string) (err error) {
	switch name {
	case "id":
		if e.KeyID = value; !idForm.MatchString(value) {
			return fmt.Errorf("id: %q is not the id of an access key", value)
		}
	case "sha256":
		sum, err := hex.DecodeString(value)
		if err != nil || len(sum) != sha256.Size {
			return fmt.Errorf("sha256: want %d hexadecimal digits", 2*sha256.Size)
		}
		copy(e.Hash[:], sum)
	case "created":
		e.Created, err = time.Parse(time.RFC3339, value)
	case "expires":
		e.Expires, err = time.Parse(time.RFC3339, value)
	default:
		return e.Limits.Set(name, value)
	}
	if err != nil {
		return fmt.Errorf("%s: %q is not a time such as 2026-11-20T18:55:56Z", name, value)
	}
	return nil
}
