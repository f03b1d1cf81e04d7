package identity

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/wholefile"
)

// ErrUnknownAgent is returned for an agent that a known_agents file does not
// list.
var ErrUnknownAgent = errors.New("the agent is not known")

// KnownAgent is one line of a known_agents file.
type KnownAgent struct {
	// Principal is NAME@BROKER, or a list of patterns as the line has it.
	Principal string
	Key       ssh.PublicKey
	// Line is the line's number, from 1.
	Line int
	// After and Before bound the time in which the line holds; zero means no bound.
	After, Before time.Time
}

// Matches reports whether the line is about this principal.
func (a *KnownAgent) Matches(principal string) bool {
	return matchList(a.Principal, principal)
}

// Valid reports whether the line holds at a time.
func (a *KnownAgent) Valid(at time.Time) bool {
	return (a.After.IsZero() || !at.Before(a.After)) && (a.Before.IsZero() || !at.After(a.Before))
}

// ChangedError is the error for an agent that presents another key than before.
type ChangedError struct {
	Principal  string
	Known, Got string // fingerprints
	Path       string
	Line       int
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("the agent %s has another key than before: it was %s (%s, line %d), now it is %s",
		e.Principal, e.Known, e.Path, e.Line, e.Got)
}

// KnownAgents is a known_agents file. It has OpenSSH's allowed_signers format
// (ssh-keygen(1)), so that ssh-keygen -Y verify -f accepts it:
//
//	bench-1@broker.example.org ssh-ed25519 AAAA…
//	*@farm.example.org valid-before="20271231Z" ssh-ed25519 AAAA…
//
// Lists, patterns, quotes and options mean the same here as there. A line that
// cannot be obeyed is an error that names the line.
//
// Every method reads the file again. Changes replace it whole, under a lock, so
// that several clients may share it.
type KnownAgents struct {
	path string
}

// NewKnownAgents returns the file at path, which need not exist yet.
func NewKnownAgents(path string) *KnownAgents { return &KnownAgents{path: path} }

// Path returns the path of the file.
func (k *KnownAgents) Path() string { return k.path }

// Principal returns the name of an agent of a broker: NAME@HOST. It replaces the
// characters that have a meaning in the file, so that an operator cannot add lines
// or patterns to a client's file.
func Principal(name, brokerOrigin string) string {
	_, host, _ := strings.Cut(brokerOrigin, "://")
	safe := func(r rune) rune {
		if r <= ' ' || r > '~' || strings.ContainsRune(`"#,*?!\@`, r) {
			return '_'
		}
		return r
	}
	return strings.Map(safe, name) + "@" + strings.Map(safe, host)
}

// List returns the lines in the order of the file.
func (k *KnownAgents) List() ([]KnownAgent, error) {
	lines, err := k.read()
	if err != nil {
		return nil, err
	}
	agents := make([]KnownAgent, 0, len(lines))
	for _, l := range lines {
		if l.agent != nil {
			agents = append(agents, *l.agent)
		}
	}
	return agents, nil
}

// Check returns nil if the agent is known with this key, ErrUnknownAgent if no line
// is about it, and a *ChangedError if only lines with other keys are.
func (k *KnownAgents) Check(principal string, key ssh.PublicKey) error {
	agents, err := k.List()
	if err != nil {
		return err
	}
	return k.check(agents, principal, key)
}

func (k *KnownAgents) check(agents []KnownAgent, principal string, key ssh.PublicKey) error {
	var changed, lapsed error
	for _, a := range agents {
		if !a.Matches(principal) {
			continue
		}
		switch {
		case !bytes.Equal(a.Key.Marshal(), key.Marshal()):
			changed = &ChangedError{
				Principal: principal, Known: ssh.FingerprintSHA256(a.Key), Got: ssh.FingerprintSHA256(key),
				Path: k.path, Line: a.Line,
			}
		case a.Valid(time.Now()):
			return nil
		default:
			lapsed = fmt.Errorf("the agent %s is known for another time only (%s, line %d)", principal, k.path, a.Line)
		}
	}
	switch {
	case lapsed != nil:
		return lapsed
	case changed != nil:
		return changed
	}
	return fmt.Errorf("%w: %s", ErrUnknownAgent, principal)
}

// Signer returns the key with a fingerprint and the principals under which it is
// known at this time. It returns ErrUnknownAgent if no line has the key.
func (k *KnownAgents) Signer(fingerprint string) (key ssh.PublicKey, principals []string, err error) {
	agents, err := k.List()
	if err != nil {
		return nil, nil, err
	}
	for _, a := range agents {
		if ssh.FingerprintSHA256(a.Key) != fingerprint {
			continue
		}
		if a.Valid(time.Now()) {
			key, principals = a.Key, append(principals, a.Principal)
		} else {
			err = fmt.Errorf("the agent %s is known for another time only (%s, line %d)", a.Principal, k.path, a.Line)
		}
	}
	switch {
	case key != nil:
		return key, principals, nil
	case err != nil:
		return nil, nil, err
	}
	return nil, nil, fmt.Errorf("%w: %s", ErrUnknownAgent, fingerprint)
}

// Trust adds the agent. It does nothing if the agent is known with this key, and
// returns a *ChangedError if it is known with another.
func (k *KnownAgents) Trust(principal string, key ssh.PublicKey) error {
	return k.change(func(lines []knownLine) ([]knownLine, error) {
		err := k.Check(principal, key)
		if !errors.Is(err, ErrUnknownAgent) {
			return lines, err
		}
		text := principal + " " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
		return append(lines, knownLine{text: text}), nil
	})
}

// Forget removes the agent from every line and returns the number of lines. A line
// whose pattern names the agent is an error, because it may name others, too.
func (k *KnownAgents) Forget(principal string) (int, error) {
	removed := 0
	err := k.change(func(lines []knownLine) ([]knownLine, error) {
		var kept []knownLine
		for _, l := range lines {
			if l.agent == nil || !l.agent.Matches(principal) {
				kept = append(kept, l)
				continue
			}
			names := strings.Split(l.agent.Principal, ",")
			rest := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == principal })
			if len(rest) == len(names) || strings.ContainsAny(l.agent.Principal, "*?!") {
				return nil, fmt.Errorf("%s, line %d names %s by a pattern; edit the line", k.path, l.agent.Line, principal)
			}
			removed++
			if len(rest) > 0 {
				kept = append(kept, knownLine{text: quoted(strings.Join(rest, ",")) + " " + l.rest})
			}
		}
		return kept, nil
	})
	return removed, err
}

func (k *KnownAgents) read() ([]knownLine, error) {
	data, err := os.ReadFile(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the known agents: %w", err)
	}
	return parseKnown(data, k.path)
}

// change rewrites the file under a lock.
func (k *KnownAgents) change(edit func([]knownLine) ([]knownLine, error)) error {
	fail := func(err error) error { return fmt.Errorf("write the known agents: %w", err) }
	if err := os.MkdirAll(filepath.Dir(k.path), 0o700); err != nil {
		return fail(err)
	}
	lock := flock.New(k.path + ".lock")
	if err := lock.Lock(); err != nil {
		return fail(err)
	}
	defer lock.Close()
	lines, err := k.read()
	if err != nil {
		return err
	}
	if lines, err = edit(lines); err != nil {
		return err
	}
	var text strings.Builder
	for _, l := range lines {
		text.WriteString(l.text + "\n")
	}
	if err := wholefile.Replace(k.path, []byte(text.String()), 0o600); err != nil {
		return fail(err)
	}
	return nil
}
