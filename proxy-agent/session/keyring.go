package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/wholefile"
)

// KeyChange is the error for a broker that has none of the pinned keys any more.
type KeyChange struct {
	Broker string
	File   string // of the pinned keys
}

func (e *KeyChange) Error() string {
	return fmt.Sprintf("the broker at %s signs with other keys than those pinned in %s", e.Broker, e.File)
}

// Hint says what the operator can do.
func (e *KeyChange) Hint() string {
	return "another server may be posing as the broker; if its operator confirms that the keys were replaced, delete the file and start again"
}

// PinnedKeys returns the keys that verify the broker's grants. At the first
// contact it fetches them and writes them to a file in dir, readable by its owner
// only. From then on it accepts only those and keys that they vouch for by a
// rotation, which it adds to the file. It passes other keys that the broker serves
// to added and does not trust them: an attacker who can change the broker's
// responses could add one.
func PinnedKeys(ctx context.Context, dir, broker string, fetch func(context.Context) (*grant.Published, error), added func(ids []string)) (*grant.KeySet, error) {
	sum := sha256.Sum256([]byte(broker))
	file := filepath.Join(dir, "issuer-"+hex.EncodeToString(sum[:8])+".jwks")
	served, err := fetch(ctx)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return served.Keys, pin(file, served.Keys)
	}
	if err != nil {
		return nil, fmt.Errorf("read the pinned keys of the broker: %w", err)
	}
	pinned, err := grant.ParseJWKS(data)
	if err != nil {
		return nil, fmt.Errorf("read the pinned keys of the broker in %s: %w", file, err)
	}
	followed, err := pinned.Follow(served)
	if err != nil {
		return nil, &KeyChange{Broker: broker, File: file}
	}
	unknown := slices.DeleteFunc(served.Keys.KeyIDs(), func(id string) bool { return slices.Contains(followed.KeyIDs(), id) })
	if len(unknown) > 0 && added != nil {
		added(unknown)
	}
	if slices.Equal(followed.KeyIDs(), pinned.KeyIDs()) {
		return followed, nil
	}
	return followed, pin(file, followed)
}

func pin(file string, keys *grant.KeySet) error {
	data, err := json.Marshal(keys)
	if err == nil {
		err = wholefile.Write(file, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("pin the broker's keys: %w", err)
	}
	return nil
}
