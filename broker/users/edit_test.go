package users

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/quota"
)

func TestEditing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	key := NewAccessKey()
	add := Add{Name: "alice", Expires: noon.Add(time.Hour), Limits: quota.Limits{Jobs: 2}}
	if err := AddUser(path, add, key, noon); err != nil {
		t.Fatal(err)
	}
	// A service with another user must be able to read what root makes.
	want := map[bool]fs.FileMode{true: 0o644, false: 0o600}[os.Geteuid() == 0]
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
		t.Errorf("the file has mode %v, want %v", info.Mode(), want)
	}
	if data, _ := os.ReadFile(path); strings.Contains(string(data), key.Reveal()[20:]) {
		t.Error("the secret is in the file")
	}
	if err := AddUser(path, add, NewAccessKey(), noon); !errors.Is(err, ErrExists) {
		t.Errorf("twice: %v", err)
	}
	next := NewAccessKey()
	if err := AddUser(path, Add{Name: "alice", Replace: true, Limits: quota.Limits{Grants: 5}}, next, noon); err != nil {
		t.Fatal(err)
	}
	entries, err := List(path)
	if err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	if e := entries[0]; e.KeyID != next.ID() || !e.Expires.Equal(add.Expires) || e.Limits != (quota.Limits{Jobs: 2, Grants: 5}) {
		t.Errorf("after a replacement: %s", e)
	}
	if err := AddUser(path, Add{Name: "alice", Replace: true}, next, noon.Add(2*time.Hour)); !errors.Is(err, ErrBadEntry) {
		t.Errorf("a replacement that is over at once: %v", err)
	}
	if err := AddUser(path, Add{Name: "../x"}, next, noon); !errors.Is(err, ErrBadEntry) {
		t.Errorf("a bad name: %v", err)
	}
	if err := errors.Join(Remove(path, "alice"), Remove(path, "alice")); !errors.Is(err, ErrNoSuch) {
		t.Errorf("removed twice: %v", err)
	}
	if newMode(0) != 0o644 || newMode(1000) != 0o600 {
		t.Errorf("modes of new files: %v for root, %v for others", newMode(0), newMode(1000))
	}
	if err := Remove(path+"x", "alice"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removed from nowhere: %v", err)
	}
}

// REVIEW row 17: removing the access key of a user called anyone also removed
// the limits of everybody without a token.
func TestRemoveRemovesOneLine(t *testing.T) {
	key := "key:anyone id=aaaaaaaaaaaaaaaa sha256=" + strings.Repeat("0", 64) + " created=2026-11-20T12:00:00Z\n"
	ssh := "ssh:SHA256:2ZZBL8fbvGTlPjCHmXSzy4mA2mEJfQ5aMKwTzJrDLWo jobs=1\n"
	for _, tt := range []struct {
		before, name string
		want         error
		after        string
	}{
		{"anyone jobs=4\n" + key, "anyone", ErrAmbiguous, "anyone jobs=4\n" + key},
		{"anyone jobs=4\n" + key, "key:anyone", nil, "anyone jobs=4\n"},
		{"# all\nanyone jobs=4\n", "anyone", nil, "# all\n"},
		{key, "anyone", nil, ""},
		{"anyone jobs=4\n", "key:anyone", ErrNoSuch, "anyone jobs=4\n"},
		{ssh + key, "ssh", ErrNoSuch, ssh + key},
		{ssh + key, "SHA256:2ZZBL8fbvGTlPjCHmXSzy4mA2mEJfQ5aMKwTzJrDLWo", ErrNoSuch, ssh + key},
		{ssh + key, strings.Fields(ssh)[0], nil, key},
		{ssh + key, "", ErrNoSuch, ssh + key},
	} {
		path := write(t, tt.before)
		err := Remove(path, tt.name)
		after, _ := os.ReadFile(path)
		if !errors.Is(err, tt.want) || string(after) != tt.after {
			t.Errorf("remove %q from %q: %v, %q; want %v, %q", tt.name, tt.before, err, after, tt.want, tt.after)
		}
	}
}

func TestAByteOrderMarkIsSkipped(t *testing.T) {
	path := write(t, "\ufeffanyone jobs=4\n")
	if err := AddUser(path, Add{Name: "alice"}, NewAccessKey(), noon); err != nil {
		t.Fatal(err)
	}
	if entries, err := List(path); err != nil || len(entries) != 2 || entries[0].User != Anyone {
		t.Errorf("%v, %v", entries, err)
	}
}

// Concurrent commands lose no users.
func TestEditsDoNotOverwriteEachOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 5 {
				if err := AddUser(path, Add{Name: fmt.Sprintf("u%d-%d", i, k)}, NewAccessKey(), noon); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if entries, err := List(path); err != nil || len(entries) != 40 {
		t.Errorf("%d users, %v", len(entries), err)
	}
}
