package login

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
	"strings"
	"sync"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// Tokens makes and checks the challenges and session tokens of one role. Each
// carries its expiry and a MAC, so the broker stores none of them. The MAC
// covers the role: a token for an agent is void for a user, and the reverse.
//
//	challenge = expiry (8) ‖ random (16) ‖ HMAC(domain, origin, role, expiry ‖ random, nonce, fingerprint) (32)
//	session   = base64url(expiry (8) ‖ digest of the key (32) ‖ HMAC(domain, origin, role, expiry ‖ digest) (32))
//
// Its methods may be called concurrently.
type Tokens struct {
	Secret []byte
	Origin string
	Role   identity.Role

	macs sync.Pool // of hash.Hash, keyed with Secret: keying one costs more than a short message
}

const (
	expirySize    = 8
	randomSize    = 16
	challengeSize = expirySize + randomSize + sha256.Size
	sessionSize   = expirySize + sha256.Size + sha256.Size
)

// The errors of CheckChallenge and CheckSession.
var (
	ErrForged  = errors.New("this broker did not make the token for this purpose")
	ErrExpired = errors.New("the token has expired")
)

// mac separates its fields by their lengths.
func (t *Tokens) mac(domain string, fields ...[]byte) []byte {
	h, ok := t.macs.Get().(hash.Hash)
	if !ok {
		h = hmac.New(sha256.New, t.Secret)
	}
	defer t.macs.Put(h)
	h.Reset()
	message := make([]byte, 0, 256)
	message = appendField(message, domain)
	message = appendField(message, t.Origin)
	message = appendField(message, string(t.Role))
	for _, f := range fields {
		message = appendField(message, f)
	}
	h.Write(message)
	return h.Sum(message[:0])
}

func appendField[T string | []byte](message []byte, field T) []byte {
	return append(binary.BigEndian.AppendUint32(message, uint32(len(field))), field...)
}

const (
	challengeDomain = "farforge broker challenge v1"
	sessionDomain   = "farforge broker session v1"
)

// Challenge returns a new challenge for a nonce and a key's fingerprint.
func (t *Tokens) Challenge(nonce []byte, fingerprint string, expires time.Time) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, challengeSize), uint64(expires.Unix()))
	b = b[:expirySize+randomSize]
	rand.Read(b[expirySize:]) // never fails
	return append(b, t.mac(challengeDomain, b, nonce, []byte(fingerprint))...)
}

// CheckChallenge returns ErrForged unless the challenge was made for this nonce
// and fingerprint, and ErrExpired after its expiry.
func (t *Tokens) CheckChallenge(challenge, nonce []byte, fingerprint string, now time.Time) error {
	if len(challenge) != challengeSize {
		return ErrForged
	}
	head, sum := challenge[:expirySize+randomSize], challenge[expirySize+randomSize:]
	if !hmac.Equal(sum, t.mac(challengeDomain, head, nonce, []byte(fingerprint))) {
		return ErrForged
	}
	return checkExpiry(head, now)
}

// Session returns a session token for the key with the fingerprint, in ssh's
// form "SHA256:…".
func (t *Tokens) Session(fingerprint string, expires time.Time) (string, error) {
	digest, err := base64.RawStdEncoding.DecodeString(strings.TrimPrefix(fingerprint, "SHA256:"))
	if err != nil || len(digest) != sha256.Size {
		return "", errors.New("the key's fingerprint is not a SHA-256 digest")
	}
	b := binary.BigEndian.AppendUint64(make([]byte, 0, sessionSize), uint64(expires.Unix()))
	b = append(b, digest...)
	b = append(b, t.mac(sessionDomain, b)...)
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// CheckSession returns the fingerprint of the key that the token is for. It
// fails with ErrForged or ErrExpired.
func (t *Tokens) CheckSession(token string, now time.Time) (string, error) {
	if len(token) != base64.RawURLEncoding.EncodedLen(sessionSize) {
		return "", ErrForged // Go's decoder would ignore line breaks
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != sessionSize {
		return "", ErrForged
	}
	head, sum := b[:expirySize+sha256.Size], b[expirySize+sha256.Size:]
	if !hmac.Equal(sum, t.mac(sessionDomain, head)) {
		return "", ErrForged
	}
	if err := checkExpiry(head, now); err != nil {
		return "", err
	}
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(head[expirySize:]), nil
}

// Renew returns a fresh session for a token that CheckSession has accepted, once
// less than half of the token's life is left; before that it returns "".
func (t *Tokens) Renew(token, fingerprint string, now time.Time) string {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) != sessionSize || expiry(b).Sub(now) > api.SessionLife/2 {
		return ""
	}
	fresh, err := t.Session(fingerprint, now.Add(api.SessionLife))
	if err != nil {
		return ""
	}
	return fresh
}

// expiry reads the expiry of a challenge or a decoded session, in whole seconds.
func expiry(head []byte) time.Time {
	return time.Unix(int64(binary.BigEndian.Uint64(head)), 0)
}

func checkExpiry(head []byte, now time.Time) error {
	if !now.Before(expiry(head)) {
		return ErrExpired
	}
	return nil
}
