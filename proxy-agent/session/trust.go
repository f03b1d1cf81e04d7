package session

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/farforge/farforge/common/grant"
)

// refetchEvery is the shortest time between two fetches of the broker's keys,
// however many unknown key ids arrive.
const refetchEvery = 5 * time.Second

// trust holds the keys that verify grants.
type trust struct {
	keys    atomic.Pointer[grant.KeySet]
	refetch func(context.Context) (*grant.KeySet, error)

	mu      sync.Mutex // held while fetching
	fetched time.Time
}

func (t *trust) verify(token string, now time.Time) (*grant.Grant, error) {
	keys := t.keys.Load()
	g, err := keys.Verify(token, now, leeway)
	if id := keyID(token); errors.Is(err, grant.ErrSignature) && !slices.Contains(keys.KeyIDs(), id) {
		return nil, fmt.Errorf("%w: %w: key id %q", ErrUnknownKey, grant.ErrSignature, id)
	}
	return g, err
}

// keyID returns the key id that a token claims, or "".
func keyID(token string) string {
	header, _, _ := strings.Cut(token, ".")
	data, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		return ""
	}
	var h map[string]any // not a struct, which would also take "KID"
	_ = json.Unmarshal(data, &h)
	id, _ := h["kid"].(string) // a header that is not JSON names no key
	return id
}

// RefreshKeys fetches the broker's keys again, unless that happened a moment ago.
// Concurrent calls share one request.
func (h *Host) RefreshKeys(ctx context.Context) error {
	t := &h.trust
	if t.refetch == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.fetched.IsZero() && time.Since(t.fetched) < refetchEvery {
		return nil
	}
	t.fetched = time.Now()
	keys, err := t.refetch(ctx)
	if err != nil {
		return fmt.Errorf("fetch the broker's keys again: %w", err)
	}
	if !slices.Equal(keys.KeyIDs(), t.keys.Load().KeyIDs()) {
		h.Logger.Info("the broker has new keys, which a pinned key vouches for", "keys", keys.KeyIDs())
	}
	t.keys.Store(keys)
	return nil
}
