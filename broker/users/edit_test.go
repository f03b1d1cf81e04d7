package users

import (
	"errors"
	"fmt"
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
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v", info.Mode())
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
	if err := Remove(path+"x", "alice"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removed from nowhere: %v", err)
	}
}

// Many who add users at once lose none.
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
