package keyring

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/farforge/farforge/broker/disk"
	"github.com/farforge/farforge/common/grant"
)

// MinOverlap is the shortest overlap: grants of the old key are still in use.
const MinOverlap = 5 * time.Minute

// ErrTooMany: the overlaps of as many keys as can be published have not ended.
var ErrTooMany = errors.New("too many keys are in their overlap")

// Key is the public description of a key.
type Key struct {
	ID      string
	Created time.Time
	// Retires is the end of an old key's overlap; zero for the key that signs.
	Retires time.Time
}

func (k *key) view() Key {
	return Key{ID: grant.KeyID(k.Public), Created: k.Created, Retires: k.Retires}
}

// List returns the keys in the folder, with the one that signs at the end, and
// the number of rotations that lead to it.
func List(dir string, now time.Time) (keys []Key, rotations int, err error) {
	s, err := readState(dir)
	if err != nil {
		return nil, 0, fmt.Errorf("read the grant signing keys: %w", err)
	}
	s.retire(now)
	for _, k := range s.Keys {
		keys = append(keys, k.view())
	}
	return keys, len(s.Rotations), nil
}

// Rotate makes a new key that signs from now on. The old one signs it, verifies
// for the overlap, and loses its private half at once.
func Rotate(dir string, overlap time.Duration, now time.Time) (old, fresh Key, err error) {
	fail := func(err error) (Key, Key, error) {
		return Key{}, Key{}, fmt.Errorf("rotate the grant signing key: %w", err)
	}
	if overlap < MinOverlap {
		return fail(fmt.Errorf("an overlap of %v is shorter than %v", overlap, MinOverlap))
	}
	unlock, err := disk.Lock(filepath.Join(dir, keysFile))
	if err != nil {
		return fail(err)
	}
	defer unlock()
	s, err := readState(dir)
	if err != nil {
		return fail(err)
	}
	s.retire(now)
	if len(s.Keys) == grant.MaxKeys {
		return fail(fmt.Errorf("%w; the next one retires at %s", ErrTooMany, s.due().Format(time.RFC3339)))
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fail(err)
	}
	rotation, err := s.signer().SignRotation(public, s.Issuer, now)
	if err != nil {
		return fail(err)
	}
	last := s.signing()
	last.Seed, last.Retires = nil, now.Add(overlap).UTC().Truncate(time.Second)
	old = last.view()
	s.Keys = append(s.Keys, newKey(private, now))
	s.Rotations = append(s.Rotations, rotation)
	if n := len(s.Rotations) - maxRotations; n > 0 {
		s.Rotations = s.Rotations[n:]
	}
	if err := s.replace(dir); err != nil {
		return fail(err)
	}
	return old, s.signing().view(), nil
}
