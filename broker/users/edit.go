package users

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/farforge/farforge/broker/disk"
	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/common/wholefile"
)

// The errors of AddUser and Remove.
var (
	ErrExists    = errors.New("the user exists already")
	ErrNoSuch    = errors.New("there is no such user")
	ErrAmbiguous = errors.New("the name is ambiguous")
	ErrBadEntry  = errors.New("the user cannot be added")
)

// Add describes a new user.
type Add struct {
	Name    string
	Expires time.Time // zero is never
	Limits  quota.Limits
	// Replace gives an existing user a new key. The old key is void; expiry and
	// limits stay unless new ones are given.
	Replace bool
}

// AddUser adds a user with a new access key to the file, and creates a missing
// file. It fails with ErrExists or ErrBadEntry.
func AddUser(path string, a Add, key AccessKey, now time.Time) error {
	return edit(path, true, func(lines []line) ([]line, error) {
		e := &Entry{
			User: prefixKey + a.Name, KeyID: key.ID(), Hash: key.Hash(),
			Created: now.UTC().Truncate(time.Second), Expires: a.Expires, Limits: a.Limits,
		}
		if err := checkUser(e.User); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadEntry, err)
		}
		i := slices.IndexFunc(lines, func(l line) bool { return l.entry != nil && l.entry.User == e.User })
		if i < 0 {
			return append(lines, line{e.String(), e}), nil
		}
		if !a.Replace {
			return nil, fmt.Errorf("%w: %s", ErrExists, a.Name)
		}
		old := lines[i].entry
		e.Limits = e.Limits.Or(old.Limits)
		if e.Expires.IsZero() {
			if e.Expires = old.Expires; e.Expired(now) {
				return nil, fmt.Errorf("%w: %s has expired; give a new expiry", ErrBadEntry, a.Name)
			}
		}
		lines[i] = line{e.String(), e}
		return lines, nil
	})
}

// Remove removes one line of the file: that of the user with this id, or with
// an access key of this name. It fails with ErrNoSuch, and with ErrAmbiguous if
// there are both, such as anyone and key:anyone.
func Remove(path, name string) error {
	return edit(path, false, func(lines []line) ([]line, error) {
		find := func(id string) int {
			return slices.IndexFunc(lines, func(l line) bool { return l.entry != nil && l.entry.User == id })
		}
		byID, byName := find(name), find(prefixKey+name)
		switch {
		case byID >= 0 && byName >= 0:
			return nil, fmt.Errorf("%w: both %s and %s%s are in the file", ErrAmbiguous, name, prefixKey, name)
		case byID < 0 && byName < 0:
			return nil, fmt.Errorf("%w: %s", ErrNoSuch, name)
		}
		i := max(byID, byName)
		return slices.Delete(lines, i, i+1), nil
	})
}

// List returns the entries of the file.
func List(path string) ([]*Entry, error) {
	data, _, err := disk.Read(path, MaxFile)
	if err != nil {
		return nil, err
	}
	entries, err := ParseFile(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return entries, nil
}

// newMode is the mode of a new file. A file that root creates is for a service
// with another user, often one that systemd makes at each start: it must be
// able to read the file, which holds no secret.
func newMode(euid int) fs.FileMode {
	if euid == 0 {
		return 0o644
	}
	return 0o600
}

// edit rewrites the file under its lock. Comments and blank lines stay.
func edit(path string, create bool, change func([]line) ([]line, error)) error {
	unlock, err := disk.Lock(path)
	if err != nil {
		return err
	}
	defer unlock()
	data, _, err := disk.Read(path, MaxFile)
	if err != nil && !(create && errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	lines, err := parseLines(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if lines, err = change(lines); err != nil {
		return err
	}
	var text strings.Builder
	for _, l := range lines {
		text.WriteString(l.text + "\n")
	}
	if text.Len() > MaxFile {
		return fmt.Errorf("%s: the list of users would be longer than %d bytes", path, MaxFile)
	}
	return wholefile.Replace(path, []byte(text.String()), newMode(os.Geteuid()))
}
