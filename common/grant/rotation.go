package grant

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// RotationType is the typ header of a rotation.
const RotationType = "farforge-rotation+jwt"

// maxRotations bounds the rotations that are published beside a key set.
const maxRotations = 64

// rotation is the payload of a rotation: an old key names its successor.
type rotation struct {
	jwt.RegisteredClaims
	Successor jwk `json:"jwk"`
}

// SignRotation returns a token in which the old key s names its successor. An agent
// that has pinned the old key may accept the successor.
func (s *Signer) SignRotation(successor ed25519.PublicKey, issuer string, now time.Time) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, rotation{
		RegisteredClaims: jwt.RegisteredClaims{Issuer: issuer, IssuedAt: jwt.NewNumericDate(now)},
		Successor:        newJWK(successor),
	})
	token.Header["typ"] = RotationType
	token.Header["kid"] = s.keyID
	text, err := token.SignedString(s.key)
	if err != nil {
		return "", fmt.Errorf("sign the rotation to key %s: %w", KeyID(successor), err)
	}
	return text, nil
}

// Published is the document at a broker's JWKS path: the keys that verify its
// grants, and the rotations from each key to the next, oldest first. Other readers
// see a JWK set with an additional member, which they ignore by RFC 7517.
type Published struct {
	Keys      *KeySet
	Rotations []string
}

// MarshalJSON writes the set as a JWK Set with a member "rotations".
func (p *Published) MarshalJSON() ([]byte, error) {
	set := p.Keys.set()
	set.Rotations = p.Rotations
	return json.Marshal(set)
}

// ParsePublished reads the output of MarshalJSON, or any other JWK set.
func ParsePublished(data []byte) (*Published, error) {
	keys, err := ParseJWKS(data)
	if err != nil {
		return nil, err
	}
	var set jwks
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("read the JWK set: %w", err)
	}
	if len(set.Rotations) > maxRotations {
		return nil, fmt.Errorf("read the JWK set: %d rotations, at most %d are allowed", len(set.Rotations), maxRotations)
	}
	return &Published{Keys: keys, Rotations: set.Rotations}, nil
}

// Follow returns the published keys that are pinned, or that an unbroken chain of
// rotations leads to from a pinned key. Its error wraps ErrSignature if there are
// none, because the broker's keys are not the pinned ones then.
func (k *KeySet) Follow(p *Published) (*KeySet, error) {
	trusted := NewKeySet(k.Keys()...)
	for _, text := range p.Rotations {
		// A rotation by an untrusted key is not an error: the chain may begin before
		// the pinned key.
		if successor, err := trusted.verifyRotation(text); err == nil {
			trusted = NewKeySet(append(trusted.Keys(), successor)...)
		}
	}
	var current []ed25519.PublicKey
	for _, key := range p.Keys.Keys() {
		if _, ok := trusted.byID[KeyID(key)]; ok {
			current = append(current, key)
		}
	}
	if len(current) == 0 {
		return nil, fmt.Errorf("%w: none of the broker's keys is pinned, or follows from a pinned one", ErrSignature)
	}
	return NewKeySet(current...), nil
}

func (k *KeySet) verifyRotation(text string) (ed25519.PublicKey, error) {
	var r rotation
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithStrictDecoding())
	if _, err := parser.ParseWithClaims(text, &r, k.key(RotationType)); err != nil {
		return nil, classify(err)
	}
	return r.Successor.key()
}
