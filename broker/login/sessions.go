package login

import (
	"log/slog"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// Sessions opens sessions for the holders of listed SSH keys in one role. It is
// safe for concurrent use.
type Sessions struct {
	tokens   Tokens
	redeemed *redeemed // shared by the roles
	lookup   func(fingerprint string) (identity.Authorized, bool)
	// hello and list name the role's path and list of keys in hints.
	hello, list string
	logger      *slog.Logger
	now         func() time.Time
	// verify is identity.Verify; tests count its calls.
	verify func(key ssh.PublicKey, namespace string, message []byte, signature string) error
}

// Hello returns a challenge for the key. Any key gets one: only Open, which
// needs the key's signature, depends on whether the key is listed.
func (s *Sessions) Hello(req *api.HelloRequest) (*api.HelloResponse, error) {
	_, fingerprint, err := parseKey(req.PublicKey, req.Nonce)
	if err != nil {
		return nil, err
	}
	expires := s.now().UTC().Add(api.ChallengeLife)
	return &api.HelloResponse{
		Challenge: s.tokens.Challenge(req.Nonce, fingerprint, expires),
		Origin:    s.tokens.Origin, ExpiresAt: expires,
	}, nil
}

// Open redeems a signed challenge for a session token.
func (s *Sessions) Open(req *api.SessionRequest) (*api.SessionResponse, error) {
	key, fingerprint, err := parseKey(req.PublicKey, req.Nonce)
	if err != nil {
		return nil, err
	}
	now := s.now()
	newChallenge := "request a new challenge with " + s.hello
	if err := s.tokens.CheckChallenge(req.Challenge, req.Nonce, fingerprint, now); err != nil {
		return nil, &Error{
			Kind: BadToken, Detail: "this broker did not make the challenge for this key and nonce, or it has expired",
			Hints: []string{newChallenge}, Cause: err,
		}
	}
	who, listed := s.lookup(fingerprint)
	// The signature is checked with the key that the request shows, listed or
	// not, so that the time of the response does not depend on the list.
	message := identity.Challenge{Role: s.tokens.Role, Origin: s.tokens.Origin, Challenge: req.Challenge, Nonce: req.Nonce, Fingerprint: fingerprint}.SignedBytes()
	err = s.verify(key, identity.NamespaceSession, message, req.Signature)
	if err != nil || !listed {
		return nil, &Error{
			Kind: BadSignature, Detail: "the key is not listed at this broker, or the signature is not by the key",
			Hints: []string{
				"check that the public key is in the broker's list of " + s.list,
				"check that the broker's --origin is the URL that you use",
			}, Cause: err,
		}
	}
	switch s.redeemed.redeem(req.Challenge, now) {
	case redeemedBefore:
		return nil, &Error{Kind: BadToken, Detail: "the challenge was used already", Hints: []string{newChallenge}}
	case memoryFull:
		return nil, &Error{Kind: TooMany, Detail: "the broker cannot open more sessions now", RetryAfter: 5 * time.Second}
	}
	expires := now.UTC().Add(api.SessionLife)
	token, err := s.tokens.Session(fingerprint, expires)
	if err != nil {
		return nil, err
	}
	s.logger.Info("session opened", "role", string(s.tokens.Role), "name", who.Name)
	return &api.SessionResponse{Session: token, ExpiresAt: expires, Name: who.Name}, nil
}

// parseKey reads a public key in authorized_keys format and returns it with its
// fingerprint. It refuses keys that no list may hold before more work is done.
func parseKey(line string, nonce []byte) (ssh.PublicKey, string, error) {
	who, err := identity.ParseAuthorizedLine(line)
	if err == nil {
		err = identity.CheckStrength(who.Key)
	}
	if err != nil {
		return nil, "", &Error{Kind: Malformed, Detail: "public_key: " + strconv.QuoteToASCII(err.Error()), Cause: err}
	}
	if len(nonce) != api.NonceSize {
		return nil, "", &Error{Kind: Malformed, Detail: "nonce: want " + strconv.Itoa(api.NonceSize) + " bytes"}
	}
	return who.Key, who.Fingerprint, nil
}
