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

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/wholefile"
)

// ErrUnknownAgent is returned for an agent that a known_agents file does not
// list.
var ErrUnknownAgent = errors.New("the agent is not known")

// KnownAgent is one agent that a client has met, or was told to trust.
type KnownAgent struct {
	// Principal is NAME@BROKER: what the operator of a broker calls it.
	Principal string
	Key       ssh.PublicKey
}

// ChangedError tells that an agent presents another key than it did before.
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
// (ssh-keygen(1)), one agent a line, so that ssh-keygen -Y verify -f takes it
// as it is:
//
//	bench-1@broker.example.org ssh-ed25519 AAAA…
//
// Every method reads the file anew; changes replace it whole, under a lock, so
// that several clients may share it.
type KnownAgents struct {
	path string
}

// NewKnownAgents returns the file at path, which need not exist yet.
func NewKnownAgents(path string) *KnownAgents { return &KnownAgents{path: path} }

// Path returns where the file is.
func (k *KnownAgents) Path() string { return k.path }

// Principal names an agent of a broker. Whatever could break the file's format
// is replaced, so that an operator cannot write lines of a client's file.
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

// List returns the agents in the order of the file.
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

// Check tells whether the agent is known with this key: nil if it is,
// ErrUnknownAgent if it is not listed, a *ChangedError if it is listed with
// other keys only.
func (k *KnownAgents) Check(principal string, key ssh.PublicKey) error {
	lines, err := k.read()
	if err != nil {
		return err
	}
	var changed *ChangedError
	for i, l := range lines {
		if l.agent == nil || l.agent.Principal != principal {
			continue
		}
		if bytes.Equal(l.agent.Key.Marshal(), key.Marshal()) {
			return nil
		}
		changed = &ChangedError{
			Principal: principal, Known: ssh.FingerprintSHA256(l.agent.Key), Got: ssh.FingerprintSHA256(key),
			Path: k.path, Line: i + 1,
		}
	}
	if changed != nil {
		return changed
	}
	return fmt.Errorf("%w: %s", ErrUnknownAgent, principal)
}

// Trust adds the agent. It is no error if it is there already with this key; it
// is a *ChangedError if it is there with another.
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

// Forget removes every key of the agent and returns how many there were.
func (k *KnownAgents) Forget(principal string) (int, error) {
	removed := 0
	err := k.change(func(lines []knownLine) ([]knownLine, error) {
		return slices.DeleteFunc(lines, func(l knownLine) bool {
			match := l.agent != nil && l.agent.Principal == principal
			if match {
				removed++
			}
			return match
		}), nil
	})
	return removed, err
}

// knownLine is one line as it stands, and what it says unless it is blank or a
// comment.
type knownLine struct {
	text  string
	agent *KnownAgent
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

func parseKnown(data []byte, path string) ([]knownLine, error) {
	if len(data) > MaxAuthorizedFile {
		return nil, fmt.Errorf("read the known agents: %s is longer than %d bytes", path, MaxAuthorizedFile)
	}
	var lines []knownLine
	for raw := range bytes.Lines(data) {
		text := strings.TrimSpace(string(raw))
		l := knownLine{text: text}
		if text != "" && text[0] != '#' {
			principal, rest, _ := strings.Cut(text, " ")
			agent, err := ParseAuthorizedLine(rest)
			if err != nil {
				return nil, fmt.Errorf("read the known agents: %s, line %d: %w", path, len(lines)+1, err)
			}
			l.agent = &KnownAgent{Principal: principal, Key: agent.Key}
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// change rewrites the file under a lock.
func (k *KnownAgents) change(edit func([]knownLine) ([]knownLine, error)) error {
	if err := os.MkdirAll(filepath.Dir(k.path), 0o700); err != nil {
		return fmt.Errorf("write the known agents: %w", err)
	}
	unlock, err := lockFile(k.path + ".lock")
	if err != nil {
		return fmt.Errorf("write the known agents: %w", err)
	}
	defer unlock()
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
		return fmt.Errorf("write the known agents: %w", err)
	}
	return nil
}
