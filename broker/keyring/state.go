package keyring

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/farforge/farforge/broker/disk"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/wholefile"
)

const (
	keysFile   = "grant-keys.json"
	secretFile = "session-secret"
	// maxFile bounds each file, in bytes.
	maxFile = 1 << 20
	// maxRotations bounds the rotations in a published key set. An agent that has
	// pinned an older key must be given the new one by its operator.
	maxRotations = 64
)

// state is the contents of grant-keys.json.
type state struct {
	Version int `json:"version"`
	// Issuer is the origin of the broker's last start.
	Issuer string `json:"issuer,omitempty"`
	// Keys are sorted by age. The last one signs.
	Keys []key `json:"keys"`
	// Rotations are tokens of grant.SignRotation, oldest first.
	Rotations []string `json:"rotations,omitempty"`
}

type key struct {
	Public  ed25519.PublicKey `json:"public"`
	Created time.Time         `json:"created"`
	// Seed is the private half (RFC 8032); only the last key still has it.
	Seed []byte `json:"seed,omitempty"`
	// Retires is the end of an old key's overlap.
	Retires time.Time `json:"retires,omitzero"`
}

func newKey(private ed25519.PrivateKey, now time.Time) key {
	return key{Public: private.Public().(ed25519.PublicKey), Seed: private.Seed(), Created: now.UTC().Truncate(time.Second)}
}

func (s *state) signing() *key { return &s.Keys[len(s.Keys)-1] }

func (s *state) signer() *grant.Signer {
	return grant.NewSigner(ed25519.NewKeyFromSeed(s.signing().Seed))
}

// retire drops the keys whose overlap has ended, and reports whether there were
// any.
func (s *state) retire(now time.Time) bool {
	var kept []key
	for i, k := range s.Keys {
		if i == len(s.Keys)-1 || now.Before(k.Retires) {
			kept = append(kept, k)
		}
	}
	dropped := len(kept) < len(s.Keys)
	s.Keys = kept
	return dropped
}

// due returns when the next key retires; zero is never.
func (s *state) due() time.Time {
	var first time.Time
	for _, k := range s.Keys[:len(s.Keys)-1] {
		if first.IsZero() || k.Retires.Before(first) {
			first = k.Retires
		}
	}
	return first
}

// published returns the public keys, with the one that signs first.
func (s *state) published() *grant.Published {
	var keys []ed25519.PublicKey
	for i := len(s.Keys) - 1; i >= 0; i-- {
		keys = append(keys, s.Keys[i].Public)
	}
	return &grant.Published{Keys: grant.NewKeySet(keys...), Rotations: s.Rotations}
}

func parseState(data []byte) (*state, error) {
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	if s.Version != 1 {
		return nil, fmt.Errorf("its version is %d, and this broker reads version 1", s.Version)
	}
	if len(s.Keys) == 0 || len(s.Keys) > grant.MaxKeys || len(s.Rotations) > maxRotations {
		return nil, fmt.Errorf("it holds %d keys and %d rotations", len(s.Keys), len(s.Rotations))
	}
	for i, k := range s.Keys {
		switch last := i == len(s.Keys)-1; {
		case len(k.Public) != ed25519.PublicKeySize:
			return nil, fmt.Errorf("key %d is not an Ed25519 key", i+1)
		case last && len(k.Seed) != ed25519.SeedSize:
			return nil, errors.New("the last key lacks its private half")
		case last && !k.Public.Equal(ed25519.NewKeyFromSeed(k.Seed).Public()):
			return nil, errors.New("the halves of the last key do not match")
		case !last && (len(k.Seed) > 0 || k.Retires.IsZero()):
			return nil, fmt.Errorf("key %d does not sign, but has its private half or never retires", i+1)
		}
	}
	return &s, nil
}

// watchState reads the file of keys and follows it.
func watchState(dir string, log *slog.Logger) (*disk.Watched[*state], error) {
	return disk.Watch(disk.Source[*state]{
		Name: "file of grant signing keys", Files: []string{filepath.Join(dir, keysFile)}, Limit: maxFile,
		Access: disk.Private, Logger: log,
		Parse: func(files ...[]byte) (*state, error) { return parseState(files[0]) },
	})
}

func readState(dir string) (*state, error) {
	w, err := watchState(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return w.Value(), nil
}

func (s *state) marshal() ([]byte, error) {
	data, err := json.MarshalIndent(s, "", "  ")
	return append(data, '\n'), err
}

func (s *state) replace(dir string) error {
	data, err := s.marshal()
	if err != nil {
		return err
	}
	return wholefile.Replace(filepath.Join(dir, keysFile), data, 0o600)
}
