package users

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"time"

	"github.com/farforge/farforge/broker/disk"
	"github.com/farforge/farforge/broker/quota"
)

// File is a users file and follows its changes. It is safe for concurrent use.
type File struct{ watched[table] }

type table struct {
	byUser map[string]*Entry
	byKey  map[string]*Entry
}

// OpenFile reads a users file. Later changes and faults are logged.
func OpenFile(path string, logger *slog.Logger) (*File, error) {
	w, err := watch(path, logger, func(data []byte) (table, error) {
		entries, err := ParseFile(data)
		t := table{byUser: map[string]*Entry{}, byKey: map[string]*Entry{}}
		for _, e := range entries {
			t.byUser[e.User] = e
			if e.KeyID != "" {
				t.byKey[e.KeyID] = e
			}
		}
		return t, err
	})
	if err != nil {
		return nil, err
	}
	return &File{w}, nil
}

// watched is one of the files of the registry.
type watched[T any] struct {
	*disk.Watched[T]
	path   string
	logger *slog.Logger
}

func watch[T any](path string, logger *slog.Logger, parse func([]byte) (T, error)) (watched[T], error) {
	w, err := disk.Watch(disk.Source[T]{
		Name: "list of users", Files: []string{path}, Limit: MaxFile, Access: disk.OwnerWrites,
		Parse: func(files ...[]byte) (T, error) { return parse(files[0]) }, Logger: logger,
	})
	return watched[T]{w, path, logger}, err
}

// Reload reads the file again.
func (w watched[T]) Reload() { w.log(w.Watched.Reload()) }

// Check reads the file again if it has changed.
func (w watched[T]) Check() { w.log(w.Watched.Check()) }

func (w watched[T]) log(read bool) {
	if read {
		w.logger.Info("list of users reloaded", "file", w.path)
	}
}

// Len returns the number of access keys.
func (f *File) Len() int { return len(f.Value().byKey) }

// authenticate returns the user of an access key. It fails with ErrExpired for a
// right key that has ended, and with ErrUnknown for any other.
func (f *File) authenticate(key AccessKey, now time.Time) (*Entry, error) {
	hash := key.Hash()
	e, listed := f.Value().byKey[key.ID()]
	stored := [sha256.Size]byte{} // the hash of no known key
	if listed {
		stored = e.Hash
	}
	same := subtle.ConstantTimeCompare(hash[:], stored[:]) == 1
	switch {
	case !listed || !same:
		return nil, ErrUnknown
	case e.Expired(now):
		return nil, fmt.Errorf("%w on %s", ErrExpired, stamp(e.Expires))
	}
	return e, nil
}

// limits returns the user's own limits.
func (f *File) limits(user string) quota.Limits {
	if e, ok := f.Value().byUser[user]; ok {
		return e.Limits
	}
	return quota.Limits{}
}

// knows reports whether the user has an access key that has not ended.
func (f *File) knows(user string, now time.Time) bool {
	e, ok := f.Value().byUser[user]
	return ok && e.KeyID != "" && !e.Expired(now)
}
