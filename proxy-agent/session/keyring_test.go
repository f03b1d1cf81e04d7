package session

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/farforge/farforge/common/grant"
)

func TestKeysArePinnedAtTheFirstContact(t *testing.T) {
	signer := func() *grant.Signer {
		_, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		return grant.NewSigner(private)
	}
	a, b, c, d := signer(), signer(), signer(), signer()
	rotation, err := b.SignRotation(d.Public(), "https://one", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var added []string
	pinned := func(broker string, signers ...*grant.Signer) ([]string, error) {
		added = nil
		keys := grant.NewKeySet()
		for _, s := range signers {
			keys = grant.NewKeySet(append(keys.Keys(), s.Public())...)
		}
		set, err := PinnedKeys(t.Context(), dir, broker, func(context.Context) (*grant.Published, error) {
			return &grant.Published{Keys: keys, Rotations: []string{rotation}}, nil
		}, func(ids []string) { added = ids })
		if err != nil {
			return nil, err
		}
		return set.KeyIDs(), nil
	}
	ids := func(signers ...*grant.Signer) (ids []string) {
		for _, s := range signers {
			ids = append(ids, grant.KeyID(s.Public()))
		}
		return ids
	}
	if got, err := pinned("https://one", a, b); err != nil || !reflect.DeepEqual(got, ids(a, b)) {
		t.Fatalf("first contact: %v, %v", got, err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) != 1 {
		t.Fatalf("files %q", files)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if got, err := pinned("https://one", b); err != nil || !reflect.DeepEqual(got, ids(b)) {
		t.Errorf("one retired: %v, %v", got, err)
	}
	if got, err := pinned("https://one", b, c); err != nil || !reflect.DeepEqual(got, ids(b)) || !reflect.DeepEqual(added, ids(c)) {
		t.Errorf("one added: %v, %v, added %v", got, err, added)
	}
	if got, err := pinned("https://one", a, b); err != nil || !reflect.DeepEqual(got, ids(b)) {
		t.Errorf("a retired one is back: %v, %v", got, err)
	}
	if got, err := pinned("https://one", d); err != nil || !reflect.DeepEqual(got, ids(d)) || added != nil {
		t.Errorf("rotated: %v, %v, added %v", got, err, added)
	}
	var change *KeyChange
	if got, err := pinned("https://one", c); !errors.As(err, &change) || change.File != files[0] {
		t.Errorf("all replaced: %v, %v", got, err)
	}
	if got, err := pinned("https://two", c); err != nil || len(got) != 1 {
		t.Errorf("another broker: %v, %v", got, err)
	}
	away := errors.New("away")
	if _, err := PinnedKeys(t.Context(), dir, "https://one", func(context.Context) (*grant.Published, error) { return nil, away }, nil); !errors.Is(err, away) {
		t.Errorf("broker away: %v", err)
	}
	if err := os.WriteFile(files[0], []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := pinned("https://one", d); err == nil {
		t.Errorf("a broken file was passed over: %v", got)
	}
}
