package grant

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// MaxKeys bounds a key set.
const MaxKeys = 16

// KeySet holds the keys that grants are verified with. It is immutable and so
// safe for concurrent use.
type KeySet struct {
	order []string
	byID  map[string]ed25519.PublicKey
}

// NewKeySet returns a set of the keys, in their order.
func NewKeySet(keys ...ed25519.PublicKey) *KeySet {
	set := &KeySet{byID: make(map[string]ed25519.PublicKey, len(keys))}
	for _, key := range keys {
		id := KeyID(key)
		if _, dup := set.byID[id]; !dup {
			set.order = append(set.order, id)
			set.byID[id] = key
		}
	}
	return set
}

// Keys returns the keys in their order.
func (k *KeySet) Keys() []ed25519.PublicKey {
	keys := make([]ed25519.PublicKey, len(k.order))
	for i, id := range k.order {
		keys[i] = k.byID[id]
	}
	return keys
}

// KeyIDs returns the ids of the keys, in their order.
func (k *KeySet) KeyIDs() []string { return append([]string(nil), k.order...) }

// KeyID names a key by its JWK thumbprint (RFC 7638).
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"Ed25519","kty":"OKP","x":"%s"}`, base64.RawURLEncoding.EncodeToString(key)))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// jwk is one key as RFC 7517 and RFC 8037 spell it.
type jwk struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	KeyID     string `json:"kid"`
	Algorithm string `json:"alg,omitempty"`
	Use       string `json:"use,omitempty"`
}

type jwks struct {
	Keys      []jwk    `json:"keys"`
	Rotations []string `json:"rotations,omitempty"`
}

func newJWK(key ed25519.PublicKey) jwk {
	return jwk{
		KeyType: "OKP", Curve: "Ed25519", X: base64.RawURLEncoding.EncodeToString(key),
		KeyID: KeyID(key), Algorithm: "EdDSA", Use: "sig",
	}
}

// key returns the key, if it is spelled right and under its own id.
func (j jwk) key() (ed25519.PublicKey, error) {
	x, err := base64.RawURLEncoding.Strict().DecodeString(j.X)
	if err != nil || len(x) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("read the JWK set: key %q is not an Ed25519 public key", j.KeyID)
	}
	if j.KeyID != KeyID(x) {
		return nil, fmt.Errorf("read the JWK set: key %q does not have its thumbprint as its id", j.KeyID)
	}
	return x, nil
}

// MarshalJSON writes the set as a JWK Set (RFC 7517).
func (k *KeySet) MarshalJSON() ([]byte, error) { return json.Marshal(k.set()) }

func (k *KeySet) set() jwks {
	set := jwks{Keys: make([]jwk, 0, len(k.order))}
	for _, key := range k.Keys() {
		set.Keys = append(set.Keys, newJWK(key))
	}
	return set
}

// ParseJWKS reads a JWK Set. It passes over keys of other kinds, as RFC 7517
// asks, and refuses a set without any of ours, a key that is spelled wrong and
// a key under an id that is not its thumbprint.
func ParseJWKS(data []byte) (*KeySet, error) {
	var set jwks
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("read the JWK set: %w", err)
	}
	if len(set.Keys) > MaxKeys {
		return nil, fmt.Errorf("read the JWK set: %d keys, at most %d are allowed", len(set.Keys), MaxKeys)
	}
	var keys []ed25519.PublicKey
	for _, j := range set.Keys {
		if j.KeyType != "OKP" || j.Curve != "Ed25519" {
			continue
		}
		x, err := j.key()
		if err != nil {
			return nil, err
		}
		keys = append(keys, x)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("read the JWK set: it holds no Ed25519 key")
	}
	return NewKeySet(keys...), nil
}
