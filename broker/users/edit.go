package users

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/farforge/farforge/broker/disk"
	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/common/wholefile"
)

// What Add and Remove refuse.
var (
	ErrExists   = errors.New("there is such a user already")
	ErrNoSuch   = errors.New("there is no such user")
	ErrBadEntry = errors.New("the user cannot be added")
)

// Add is what a new user gets.
type Add struct {
	Name    string
	Expires time.Time // zero is never
	Limits  quota.Limits
	// Replace gives a user who is there a new key instead of refusing. The old
	// key is void; expiry and limits that are not given stay.
	Replace bool
}

// AddUser puts a user with a new access key into the file, which is made if
// need be. It fails with ErrExists or ErrBadEntry.
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
				return nil, fmt.Errorf("%w: the expiry of %s is over, it needs a new one", ErrBadEntry, a.Name)
			}
		}
		lines[i] = line{e.String(), e}
		return lines, nil
	})
}

// Remove takes a user out of the file. Name is that of an access key's user, or
// a whole id. It fails with ErrNoSuch.
func Remove(path, name string) error {
	return edit(path, false, func(lines []line) ([]line, error) {
		n := len(lines)
		lines = slices.DeleteFunc(lines, func(l line) bool {
			return l.entry != nil && (l.entry.User == prefixKey+name || l.entry.User == name)
		})
		if len(lines) == n {
			return nil, fmt.Errorf("%w: %s", ErrNoSuch, name)
		}
		return lines, nil
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

// edit rewrites the file under its lock. Comments and blank lines stay. A file
// that is made can be read by its owner only.
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
	return wholefile.Replace(path, []byte(text.String()), 0o600)
}
