package users

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"regexp"
	"strings"
)

// KeyPattern is the form of an access key, for secret scanners.
const KeyPattern = `ff_[a-z2-7]{16}_[a-z2-7]{52}`

const (
	keyPrefix  = "ff_"
	idBytes    = 10 // 16 characters
	secretSize = 32 // 52 characters
)

var (
	keyForm  = regexp.MustCompile(`^` + KeyPattern + `$`)
	idForm   = regexp.MustCompile(`^[a-z2-7]{16}$`)
	alphabet = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
)

// AccessKey is a bearer token that its holder keeps secret. The zero value is no
// key.
type AccessKey struct{ text string }

// NewAccessKey makes a key from the system's random numbers.
func NewAccessKey() AccessKey {
	b := make([]byte, idBytes+secretSize)
	rand.Read(b) // never fails
	return AccessKey{keyPrefix + alphabet.EncodeToString(b[:idBytes]) + "_" + alphabet.EncodeToString(b[idBytes:])}
}

// ParseAccessKey reads a key as a user presents it. It checks the form only.
func ParseAccessKey(text string) (AccessKey, error) {
	if !keyForm.MatchString(text) {
		return AccessKey{}, fmt.Errorf("not an access key of the form %s<id>_<secret>", keyPrefix)
	}
	return AccessKey{text}, nil
}

// LooksLikeAccessKey reports whether a token begins like an access key.
func LooksLikeAccessKey(token string) bool { return strings.HasPrefix(token, keyPrefix) }

// ID returns the public part, which names the key in the users file.
func (k AccessKey) ID() string { return k.text[len(keyPrefix) : len(keyPrefix)+16] }

// Hash returns the SHA-256 of the whole text, which the users file stores. So a
// key is valid in one spelling only.
func (k AccessKey) Hash() [sha256.Size]byte { return sha256.Sum256([]byte(k.text)) }

// Reveal returns the text of the key, to be printed once.
func (k AccessKey) Reveal() string { return k.text }

// String hides the secret, for logs.
func (k AccessKey) String() string { return keyPrefix + k.ID() + "_…" }

// GoString hides it from %#v.
func (k AccessKey) GoString() string { return k.String() }
