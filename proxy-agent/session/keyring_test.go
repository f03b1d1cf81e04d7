package session

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/farforge/farforge/common/grant"
)

func TestKeysArePinnedAtTheFirstContact(t *testing.T) {
	key := func() ed25519.PublicKey {
		public, _, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		return public
	}
	a, b, c := key(), key(), key()
	dir := t.TempDir()
	var added []string
	pinned := func(broker string, keys ...ed25519.PublicKey) ([]string, error) {
		added = nil
		set, err := PinnedKeys(t.Context(), dir, broker, func(context.Context) (*grant.KeySet, error) {
			return grant.NewKeySet(keys...), nil
		}, func(ids []string) { added = ids })
		if err != nil {
			return nil, err
		}
		return set.KeyIDs(), nil
	}
	both := []string{grant.KeyID(a), grant.KeyID(b)}
	if got, err := pinned("https://one", a, b); err != nil || !reflect.DeepEqual(got, both) {
		t.Fatalf("first contact: %v, %v", got, err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) != 1 {
		t.Fatalf("files %q", files)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if got, err := pinned("https://one", b); err != nil || !reflect.DeepEqual(got, both) {
		t.Errorf("one retired: %v, %v", got, err)
	}
	if got, err := pinned("https://one", b, c); err != nil || !reflect.DeepEqual(got, both) || !reflect.DeepEqual(added, []string{grant.KeyID(c)}) {
		t.Errorf("one added: %v, %v, added %v", got, err, added)
	}
	var change *KeyChange
	if got, err := pinned("https://one", c); !errors.As(err, &change) || change.File != files[0] {
		t.Errorf("all replaced: %v, %v", got, err)
	}
	if got, err := pinned("https://two", c); err != nil || len(got) != 1 {
		t.Errorf("another broker: %v, %v", got, err)
	}
	away := errors.New("away")
	if _, err := PinnedKeys(t.Context(), dir, "https://one", func(context.Context) (*grant.KeySet, error) { return nil, away }, nil); !errors.Is(err, away) {
		t.Errorf("broker away: %v", err)
	}
	if err := os.WriteFile(files[0], []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := pinned("https://one", a); err == nil {
		t.Errorf("a broken file was passed over: %v", got)
	}
}
