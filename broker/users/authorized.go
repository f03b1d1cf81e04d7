package users

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/farforge/farforge/common/identity"
)

// Authorized is a list of users' SSH keys that follows its file. It is safe for
// concurrent use.
type Authorized struct {
	watched[map[string]identity.Authorized]
}

// OpenAuthorized reads an authorized_users file; see [ParseAuthorized]. The
// logger gets unusable lines and later changes.
func OpenAuthorized(path string, logger *slog.Logger) (*Authorized, error) {
	w, err := watch(path, logger, func(data []byte) (map[string]identity.Authorized, error) {
		return ParseAuthorized(data, func(err error) {
			logger.Warn("a line of the list of users is not used", "file", path, "err", err)
		})
	})
	if err != nil {
		return nil, err
	}
	return &Authorized{w}, nil
}

// ParseAuthorized reads an authorized_users file: OpenSSH's authorized_keys
// format (sshd(8)), one key a line. The one option for users is expiry-time;
// another is an error, because the broker would not enforce it. A key that is
// [identity.ErrUnusable] goes to skipped, and the other lines count. The comment
// is for people: one person's keys may share it, and each key is a user of its
// own. The map is by fingerprint.
func ParseAuthorized(data []byte, skipped func(error)) (map[string]identity.Authorized, error) {
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
			err = fmt.Errorf("line %d: %w", number, err)
			if errors.Is(err, identity.ErrUnusable) {
				skipped(err)
				continue
			}
			return nil, err
		}
		if _, twice := listed[who.Fingerprint]; twice {
			return nil, fmt.Errorf("line %d: %s is in the list twice", number, who.Fingerprint)
		}
		listed[who.Fingerprint] = who
	}
	return listed, nil
}

// Len returns the number of listed keys.
func (a *Authorized) Len() int { return len(a.Value()) }

func (a *Authorized) lookup(fingerprint string, now time.Time) (identity.Authorized, bool) {
	who, ok := a.Value()[fingerprint]
	return who, ok && !who.Expired(now)
}
