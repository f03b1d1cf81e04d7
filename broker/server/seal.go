package server

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// sealer makes and checks the broker's own short-lived values for one role.
// They carry their expiry and a MAC, so nothing has to be remembered, and what
// was made for an agent is worth nothing to a user, nor the reverse:
//
//	challenge = expiry (8) ‖ random (16) ‖ HMAC(domain, origin, role, expiry ‖ random, nonce, fingerprint) (32)
//	session   = base64url(expiry (8) ‖ digest of the key (32) ‖ HMAC(domain, origin, role, expiry ‖ digest) (32))
type sealer struct {
	secret []byte
	origin string
	role   identity.Role
}

const (
	expirySize    = 8
	randomSize    = 16
	challengeSize = expirySize + randomSize + sha256.Size
	sessionSize   = expirySize + sha256.Size + sha256.Size
)

// What openChallenge and openSession fail with.
var (
	errSealBroken  = errors.New("the token is not one of this broker's")
	errSealExpired = errors.New("the token has expired")
)

// mac separates its fields by their lengths.
func (s sealer) mac(domain string, fields ...[]byte) []byte {
	h := hmac.New(sha256.New, s.secret)
	for _, f := range append([][]byte{[]byte(domain), []byte(s.origin), []byte(s.role)}, fields...) {
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(f)))
		h.Write(size[:])
		h.Write(f)
	}
	return h.Sum(nil)
}

const (
	challengeDomain = "farforge broker challenge v1"
	sessionDomain   = "farforge broker session v1"
)

// challenge makes the challenge for a nonce and a key's fingerprint.
func (s sealer) challenge(nonce []byte, fingerprint string, expires time.Time) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, challengeSize), uint64(expires.Unix()))
	b = b[:expirySize+randomSize]
	rand.Read(b[expirySize:]) // never fails
	return append(b, s.mac(challengeDomain, b, nonce, []byte(fingerprint))...)
}

// openChallenge checks that c was made for this nonce and fingerprint and is
// not too old.
func (s sealer) openChallenge(c, nonce []byte, fingerprint string, now time.Time) error {
	if len(c) != challengeSize {
		return errSealBroken
	}
	head, sum := c[:expirySize+randomSize], c[expirySize+randomSize:]
	if !hmac.Equal(sum, s.mac(challengeDomain, head, nonce, []byte(fingerprint))) {
		return errSealBroken
	}
	return notAfter(head, now)
}

// session makes a session token for the key with the fingerprint, which has
// the form "SHA256:…" that ssh gives it.
func (s sealer) session(fingerprint string, expires time.Time) (string, error) {
	digest, err := base64.RawStdEncoding.DecodeString(strings.TrimPrefix(fingerprint, "SHA256:"))
	if err != nil || len(digest) != sha256.Size {
		return "", errors.New("the key's fingerprint is no SHA-256")
	}
	b := binary.BigEndian.AppendUint64(make([]byte, 0, sessionSize), uint64(expires.Unix()))
	b = append(b, digest...)
	b = append(b, s.mac(sessionDomain, b)...)
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// openSession returns the fingerprint of the key that the token is for.
func (s sealer) openSession(token string, now time.Time) (string, error) {
	if len(token) != base64.RawURLEncoding.EncodedLen(sessionSize) {
		return "", errSealBroken // also one with line breaks, which Go's decoder skips
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != sessionSize {
		return "", errSealBroken
	}
	head, sum := b[:expirySize+sha256.Size], b[expirySize+sha256.Size:]
	if !hmac.Equal(sum, s.mac(sessionDomain, head)) {
		return "", errSealBroken
	}
	if err := notAfter(head, now); err != nil {
		return "", err
	}
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(head[expirySize:]), nil
}

// expiryOf is when a challenge or a decoded session ends, in whole seconds.
func expiryOf(head []byte) time.Time {
	return time.Unix(int64(binary.BigEndian.Uint64(head)), 0)
}

func notAfter(head []byte, now time.Time) error {
	if !now.Before(expiryOf(head)) {
		return errSealExpired
	}
	return nil
}

// renew returns a fresh session for the one that openSession has accepted, once
// less than half of its life is left; before that it returns nothing.
func (s sealer) renew(token, fingerprint string, now time.Time) string {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) != sessionSize || expiryOf(b).Sub(now) > api.SessionLife/2 {
		return ""
	}
	fresh, err := s.session(fingerprint, now.Add(api.SessionLife))
	if err != nil {
		return ""
	}
	return fresh
}
