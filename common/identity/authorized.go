package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/wholefile"
)

// MaxAuthorizedFile bounds an authorized_agents file, in bytes.
const MaxAuthorizedFile = 4 << 20

// Authorized is one agent that an operator has listed.
type Authorized struct {
	// Name is the line's comment, or the fingerprint of a key without one.
	Name        string
	Fingerprint string
	Key         ssh.PublicKey
	// Targets lists the chips that the agent may build for; empty means all.
	Targets []string
	// Tags lists the tags that clients can require; empty accepts those that the agent
	// announces.
	Tags []string
	// Expires is the end of the line's validity; zero is none.
	Expires time.Time
}

// Expired reports whether the line is no longer valid.
func (a *Authorized) Expired(now time.Time) bool {
	return !a.Expires.IsZero() && !now.Before(a.Expires)
}

// ErrUnusable is wrapped by the error for a key that OpenSSH can use and Farforge
// cannot: a short RSA key, a security key, or a newer kind of key.
var ErrUnusable = errors.New("the key cannot be used here")

// ParseAuthorized reads an authorized_agents file: OpenSSH's authorized_keys
// format (sshd(8)), one key a line, with the agent's name as its comment. It ignores
// blank lines and lines that begin with #. Any other line that [ParseAuthorizedEntry]
// refuses is an error with the line's number, and so are a key and a name on two
// lines: a typing mistake must not lock an agent out silently or let two agents share a
// name. Expired lines are returned, too.
func ParseAuthorized(data []byte) ([]Authorized, error) { return ParseUsable(data, nil) }

// ParseUsable is ParseAuthorized for a program that has to go on: it reports each
// line that is ErrUnusable to skipped, with its number, and uses the others.
func ParseUsable(data []byte, skipped func(error)) ([]Authorized, error) {
	if len(data) > MaxAuthorizedFile {
		return nil, fmt.Errorf("authorized agents: the list is longer than %d bytes", MaxAuthorizedFile)
	}
	data, err := wholefile.Text(data)
	if err != nil {
		return nil, fmt.Errorf("authorized agents: %w", err)
	}
	var agents []Authorized
	seen := map[string]int{}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		agent, err := ParseAuthorizedEntry(string(line))
		if err != nil {
			err = fmt.Errorf("authorized agents: line %d: %w", number, err)
			if skipped != nil && errors.Is(err, ErrUnusable) {
				skipped(err)
				continue
			}
			return nil, err
		}
		for _, id := range []string{agent.Fingerprint, agent.Name} {
			if first, dup := seen[id]; dup && first != number {
				return nil, fmt.Errorf("authorized agents: line %d: %s is on line %d already", number, id, first)
			}
			seen[id] = number
		}
		agents = append(agents, agent)
	}
	return agents, nil
}

// ParseAuthorizedEntry reads one line of the file: options, key and comment. Three
// options are known, in the spelling of sshd(8):
//
//	targets="esp32,esp32c3"   the chips that the agent may build for
//	tags="eu,reviewed"        its tags, in place of those that it announces
//	expiry-time="20271231"    YYYYMMDD[Z] or YYYYMMDDHHMM[SS][Z], the end of the line
//
// Any other option is an error, because the operator relies on every option that the
// file has. So are a key that [CheckStrength] refuses (ErrUnusable), and a name that is
// longer than 128 bytes or has control characters.
func ParseAuthorizedEntry(line string) (Authorized, error) {
	agent, options, err := parseLine(line)
	if err != nil {
		return Authorized{}, err
	}
	if err := CheckStrength(agent.Key); err != nil {
		return Authorized{}, err
	}
	if len(agent.Name) > maxName || strings.ContainsFunc(agent.Name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return Authorized{}, fmt.Errorf("the name %.40q... is longer than %d bytes or has control characters", agent.Name, maxName)
	}
	return agent, agent.obey(options)
}

// maxName bounds a name, in bytes, as requests do.
const maxName = 128

// ParseAuthorizedLine reads a bare public key: one line without options, as programs
// print their own.
func ParseAuthorizedLine(line string) (Authorized, error) {
	agent, options, err := parseLine(line)
	if err == nil && len(options) > 0 {
		err = fmt.Errorf("the option %q is unknown here", options[0])
	}
	if err != nil {
		return Authorized{}, err
	}
	return agent, nil
}

func parseLine(line string) (Authorized, []string, error) {
	// ssh.ParseAuthorizedKey would skip lines that it cannot read.
	if line = strings.TrimSpace(line); strings.ContainsAny(line, "\r\n") {
		return Authorized{}, nil, errors.New("more than one line")
	}
	key, comment, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		if kind := laterKind(line); kind != "" {
			return Authorized{}, nil, fmt.Errorf("%w: it is of the type %.40q", ErrUnusable, kind)
		}
		return Authorized{}, nil, fmt.Errorf("not a public key in OpenSSH format: %w", err)
	}
	fingerprint := ssh.FingerprintSHA256(key)
	name := strings.TrimSpace(comment)
	if name == "" {
		name = fingerprint
	}
	return Authorized{Name: name, Fingerprint: fingerprint, Key: key}, options, nil
}

// laterKind returns the type of a key that is well-formed and of an unknown type: the
// type's name is the first field of the encoded key.
func laterKind(line string) string {
	fields := strings.Fields(line)
	for i := 1; i < len(fields); i++ {
		blob, err := base64.StdEncoding.DecodeString(fields[i])
		kind := fields[i-1]
		if err == nil && len(blob) > 4+len(kind) && binary.BigEndian.Uint32(blob) == uint32(len(kind)) && string(blob[4:4+len(kind)]) == kind {
			if _, err := ssh.ParsePublicKey(blob); err != nil && strings.Contains(err.Error(), "unknown key algorithm") {
				return kind
			}
		}
	}
	return ""
}
