package users

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/farforge/farforge/common/identity"
)

// Authorized is a list of users' SSH keys, read again when it changes. It is
// safe for concurrent use.
type Authorized struct {
	watched[map[string]identity.Authorized]
}

// OpenAuthorized reads an authorized_users file; see [ParseAuthorized]. The
// logger gets later changes.
func OpenAuthorized(path string, logger *slog.Logger) (*Authorized, error) {
	w, err := watch(path, logger, ParseAuthorized)
	if err != nil {
		return nil, err
	}
	return &Authorized{w}, nil
}

// ParseAuthorized reads an authorized_users file: OpenSSH's authorized_keys
// format (sshd(8)), one key a line. The one option that goes with users is
// expiry-time; another is an error, because an option that is not obeyed is a
// false promise. The comment is for people only: one person's keys may share
// it, and each key is a user of its own. The map is by fingerprint.
func ParseAuthorized(data []byte) (map[string]identity.Authorized, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("the list of users is longer than %d bytes", MaxFile)
	}
	listed := map[string]identity.Authorized{}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		who, err := identity.ParseAuthorizedEntry(string(line))
		if err == nil && len(who.Targets)+len(who.Tags) > 0 {
			err = errors.New("targets and tags are options for agents, not for users")
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if _, twice := listed[who.Fingerprint]; twice {
			return nil, fmt.Errorf("line %d: %s stands there twice", number, who.Fingerprint)
		}
		listed[who.Fingerprint] = who
	}
	return listed, nil
}

// Len is how many keys are listed.
func (a *Authorized) Len() int { return len(a.Value()) }

func (a *Authorized) lookup(fingerprint string, now time.Time) (identity.Authorized, bool) {
	who, ok := a.Value()[fingerprint]
	return who, ok && !who.Expired(now)
}
