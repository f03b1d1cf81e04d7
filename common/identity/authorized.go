package identity

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"golang.org/x/crypto/ssh"
)

// MaxAuthorizedFile bounds an authorized_agents file, in bytes.
const MaxAuthorizedFile = 4 << 20

// Authorized is one agent that an operator has listed.
type Authorized struct {
	// Name is the line's comment, or the fingerprint where there is none.
	Name        string
	Fingerprint string
	Key         ssh.PublicKey
	// Targets are the chips that the agent may build for; empty is all.
	Targets []string
	// Tags are what clients can ask for; empty leaves that to the agent.
	Tags []string
	// Expires is when the line stops counting; zero is never.
	Expires time.Time
}

// Expired tells whether the line does not count any more.
func (a *Authorized) Expired(now time.Time) bool {
	return !a.Expires.IsZero() && !now.Before(a.Expires)
}

// ParseAuthorized reads an authorized_agents file: OpenSSH's authorized_keys
// format (sshd(8)), one key a line, the comment naming the agent. Blank lines
// and lines that begin with # are passed over. Any other line that
// [ParseAuthorizedEntry] refuses, a key that stands twice and a name that stands
// twice are errors that name the line, because a typing mistake must not
// silently lock an agent out or let two share a name. Lines that have expired
// are returned as well.
func ParseAuthorized(data []byte) ([]Authorized, error) {
	if len(data) > MaxAuthorizedFile {
		return nil, fmt.Errorf("authorized agents: the list is longer than %d bytes", MaxAuthorizedFile)
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
			return nil, fmt.Errorf("authorized agents: line %d: %w", number, err)
		}
		for _, id := range []string{agent.Fingerprint, agent.Name} {
			if first, dup := seen[id]; dup && first != number {
				return nil, fmt.Errorf("authorized agents: line %d: %s stands on line %d already", number, id, first)
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
//	targets="esp32,esp32c3"   what the agent may build for
//	tags="eu,reviewed"        what clients can ask for, whatever the agent says
//	expiry-time="20271231"    YYYYMMDD[Z] or YYYYMMDDHHMM[SS][Z], when it ends
//
// Any other is an error, because an option that is not obeyed is a false
// promise, and so are a key that [CheckStrength] refuses and a name that is
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

// maxName bounds a name, in bytes; requests can name no longer one.
const maxName = 128

// ParseAuthorizedLine reads a bare public key: one line without options, as
// programs show their own.
func ParseAuthorizedLine(line string) (Authorized, error) {
	agent, options, err := parseLine(line)
	if err == nil && len(options) > 0 {
		err = fmt.Errorf("the option %q is not known", options[0])
	}
	if err != nil {
		return Authorized{}, err
	}
	return agent, nil
}

func parseLine(line string) (Authorized, []string, error) {
	// The parser would pass over lines that it cannot read.
	if line = strings.TrimSpace(line); strings.ContainsAny(line, "\r\n") {
		return Authorized{}, nil, errors.New("more than one line")
	}
	key, comment, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return Authorized{}, nil, fmt.Errorf("not a public key in OpenSSH format: %w", err)
	}
	fingerprint := ssh.FingerprintSHA256(key)
	name := strings.TrimSpace(comment)
	if name == "" {
		name = fingerprint
	}
	return Authorized{Name: name, Fingerprint: fingerprint, Key: key}, options, nil
}
