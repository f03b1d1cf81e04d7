package directory

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/farforge/farforge/broker/disk"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/wholefile"
)

// Errors of edits, besides those of the file system.
var (
	// ErrListed: the list already has the key or the name.
	ErrListed = errors.New("it is in the list of agents already")
	// ErrNotListed: the list has no agent with the name or fingerprint.
	ErrNotListed = errors.New("it is not in the list of agents")
	// ErrBadLine: the text is not a line of such a list.
	ErrBadLine = errors.New("it cannot be added to the list of agents")
)

// AddLines appends the lines of text to the file, all of them or none. It creates the
// file if there is none, and keeps blank lines and comments. It fails with
// ErrBadLine or ErrListed.
func AddLines(path, text string) ([]identity.Authorized, error) {
	text = strings.TrimPrefix(text, "\ufeff")
	added, err := identity.ParseAuthorized([]byte(text))
	if err == nil && len(added) == 0 {
		err = errors.New("there is no key in it")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadLine, err)
	}
	err = edit(path, func(data []byte, listed []identity.Authorized) ([]byte, error) {
		for _, a := range added {
			for _, b := range listed {
				if a.Fingerprint == b.Fingerprint || a.Name == b.Name {
					return nil, fmt.Errorf("%w: %s, %s", ErrListed, b.Name, b.Fingerprint)
				}
			}
		}
		if len(data) > 0 && data[len(data)-1] != '\n' {
			data = append(data, '\n')
		}
		return append(data, strings.TrimSpace(text)+"\n"...), nil
	})
	if err != nil {
		return nil, err
	}
	return added, nil
}

// RemoveLine removes the agent with the name or fingerprint from the file and keeps
// all other lines as they are. It fails with ErrNotListed.
func RemoveLine(path, id string) (identity.Authorized, error) {
	var removed identity.Authorized
	err := edit(path, func(data []byte, listed []identity.Authorized) ([]byte, error) {
		i := slices.IndexFunc(listed, func(a identity.Authorized) bool { return a.Name == id || a.Fingerprint == id })
		if i < 0 {
			return nil, fmt.Errorf("%w: %s", ErrNotListed, id)
		}
		removed = listed[i]
		rest := make([]byte, 0, len(data))
		for line := range bytes.Lines(data) {
			if a, err := identity.ParseAuthorizedEntry(string(bytes.TrimSpace(line))); err != nil || a.Fingerprint != removed.Fingerprint {
				rest = append(rest, line...)
			}
		}
		return rest, nil
	})
	return removed, err
}

// edit rewrites the file under a lock. It parses the new text as the broker does
// before it writes it.
func edit(path string, change func(data []byte, listed []identity.Authorized) ([]byte, error)) error {
	unlock, err := disk.Lock(path)
	if err != nil {
		return fmt.Errorf("change the list of agents: %w", err)
	}
	defer unlock()
	data, _, err := disk.Read(path, identity.MaxAuthorizedFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("change the list of agents: %w", err)
	}
	unusable := func(error) {} // such a line stays unchanged
	listed, err := identity.ParseUsable(data, unusable)
	if err != nil {
		return fmt.Errorf("change the list of agents: %s is broken, repair it first: %w", path, err)
	}
	if data, err = change(data, listed); err != nil {
		return err
	}
	if _, err := identity.ParseUsable(data, unusable); err != nil {
		return fmt.Errorf("change the list of agents: %w", err)
	}
	if err := wholefile.Replace(path, data, 0o644); err != nil {
		return fmt.Errorf("change the list of agents: %w", err)
	}
	return nil
}

// Add adds one line to the file and lists its agent at once.
func (f *File) Add(line string) (identity.Authorized, error) {
	if _, err := identity.ParseAuthorizedEntry(line); err != nil {
		return identity.Authorized{}, fmt.Errorf("%w: %w", ErrBadLine, err)
	}
	added, err := AddLines(f.path, line)
	if err != nil {
		return identity.Authorized{}, err
	}
	return added[0], f.refresh()
}

// Remove removes the agent with the name or fingerprint from the file and from the
// directory at once.
func (f *File) Remove(id string) (identity.Authorized, error) {
	removed, err := RemoveLine(f.path, id)
	if err != nil {
		return identity.Authorized{}, err
	}
	return removed, f.refresh()
}
