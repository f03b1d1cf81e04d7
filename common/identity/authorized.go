package identity

import (
	"bytes"
	"fmt"
	"strings"

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
}

// ParseAuthorized reads an authorized_agents file: OpenSSH's authorized_keys
// format (sshd(8)), one key a line, the comment naming the agent. Blank lines
// and lines that begin with # are passed over. Any other line that is not a
// key, a key that stands twice and a name that stands twice are errors that
// name the line, because a typing mistake must not silently lock an agent out
// or let two share a name.
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
		agent, err := ParseAuthorizedLine(string(line))
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

// ParseAuthorizedLine reads one line of the file. Options before the key are
// refused, because an option that is not obeyed is a false promise.
func ParseAuthorizedLine(line string) (Authorized, error) {
	key, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return Authorized{}, fmt.Errorf("not a public key in OpenSSH format: %w", err)
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return Authorized{}, fmt.Errorf("more than one line")
	}
	if len(options) > 0 {
		return Authorized{}, fmt.Errorf("the option %q is not known", options[0])
	}
	fingerprint := ssh.FingerprintSHA256(key)
	name := strings.TrimSpace(comment)
	if name == "" {
		name = fingerprint
	}
	return Authorized{Name: name, Fingerprint: fingerprint, Key: key}, nil
}
