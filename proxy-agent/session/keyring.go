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
	"strings"

	"github.com/farforge/farforge/common/grant"
)

// KeyChange is the error for a broker that no longer signs with any of the keys
// that were pinned.
type KeyChange struct {
	Broker string
	File   string // where they are pinned
}

func (e *KeyChange) Error() string {
	return fmt.Sprintf("the broker at %s signs with other keys than those pinned in %s", e.Broker, e.File)
}

// Hint tells what to do about it.
func (e *KeyChange) Hint() string {
	return "somebody may be posing as the broker; if its operator says that the keys were replaced, delete the file and start again"
}

// PinnedKeys returns the keys that the broker's grants are verified with. At
// the first contact they are fetched and written to a file in dir, readable by
// its owner only; from then on only those count. Keys that the broker adds
// later are passed to added and not trusted: whoever can change what the broker
// serves could add one.
func PinnedKeys(ctx context.Context, dir, broker string, fetch func(context.Context) (*grant.KeySet, error), added func(ids []string)) (*grant.KeySet, error) {
	sum := sha256.Sum256([]byte(broker))
	file := filepath.Join(dir, "issuer-"+hex.EncodeToString(sum[:8])+".jwks")
	served, err := fetch(ctx)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return served, pin(file, served)
	}
	if err != nil {
		return nil, fmt.Errorf("read the pinned keys of the broker: %w", err)
	}
	pinned, err := grant.ParseJWKS(data)
	if err != nil {
		return nil, fmt.Errorf("read the pinned keys of the broker in %s: %w", file, err)
	}
	unknown := slices.DeleteFunc(served.KeyIDs(), func(id string) bool { return slices.Contains(pinned.KeyIDs(), id) })
	if len(unknown) == len(served.KeyIDs()) {
		return nil, &KeyChange{Broker: broker, File: file}
	}
	if len(unknown) > 0 && added != nil {
		added(unknown)
	}
	return pinned, nil
}

// pin writes the keys so that the file is either whole or not there.
func pin(file string, keys *grant.KeySet) error {
	data, err := json.Marshal(keys)
	if err != nil {
		return fmt.Errorf("pin the broker's keys: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(file), strings.TrimSuffix(filepath.Base(file), ".jwks")+"-") // mode 0600
	if err != nil {
		return fmt.Errorf("pin the broker's keys: %w", err)
	}
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("pin the broker's keys: %w", errors.Join(err, os.Remove(temp.Name())))
	}
	return nil
}
