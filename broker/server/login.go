package server

import (
	"net/http"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// login is how the holders of listed SSH keys open sessions in one role. What
// it hands out for one role is worth nothing in another.
type login struct {
	role  identity.Role
	hello string // the path
	seal  sealer
	// lookup returns the listed key with the fingerprint.
	lookup func(fingerprint string) (identity.Authorized, bool)
	// list is what the broker's list of these keys is called in hints.
	list string
}

// greet serves POST /agents/hello and /users/hello. Any key gets a challenge:
// whether it is listed shows only to who can sign with it.
func (s *Server) greet(l login) handlerFunc {
	return func(w *response, r *http.Request) error {
		var req api.HelloRequest
		if err := readJSON(w, r, &req); err != nil {
			return err
		}
		_, fingerprint, err := keyOf(req.PublicKey, req.Nonce)
		if err != nil {
			return err
		}
		expires := s.now().UTC().Add(api.ChallengeLife)
		return w.json(http.StatusOK, &api.HelloResponse{
			Challenge: l.seal.challenge(req.Nonce, fingerprint, expires),
			Origin:    s.cfg.Origin, ExpiresAt: expires,
		})
	}
}

// open serves POST /agents/session and /users/session.
func (s *Server) open(l login) handlerFunc {
	return func(w *response, r *http.Request) error {
		var req api.SessionRequest
		if err := readJSON(w, r, &req); err != nil {
			return err
		}
		key, fingerprint, err := keyOf(req.PublicKey, req.Nonce)
		if err != nil {
			return err
		}
		now := s.now()
		if err := l.seal.openChallenge(req.Challenge, req.Nonce, fingerprint, now); err != nil {
			return problem(http.StatusUnauthorized, api.CodeBadToken, "the challenge is not this broker's for this key and nonce, or it has expired",
				"ask for a new one with "+l.hello)
		}
		who, listed := l.lookup(fingerprint)
		// The key that was shown has the fingerprint that was looked up. Checking
		// with it, listed or not, is the same work for both: how long an answer
		// takes does not tell who is listed.
		message := identity.Challenge{Role: l.role, Origin: s.cfg.Origin, Challenge: req.Challenge, Nonce: req.Nonce, Fingerprint: fingerprint}.SignedBytes()
		err = s.check(key, identity.NamespaceSession, message, req.Signature)
		if err != nil || !listed {
			return problem(http.StatusUnauthorized, api.CodeBadSignature, "the key is not listed here, or the signature is not its own",
				"is the public key in the broker's list of "+l.list+"?",
				"is the broker's --origin the URL that was dialled?")
		}
		switch s.used.spend(req.Challenge, now) {
		case spentBefore:
			return problem(http.StatusUnauthorized, api.CodeBadToken, "the challenge was used already", "ask for a new one with "+l.hello)
		case spentFull:
			return after(problem(http.StatusTooManyRequests, api.CodeTooFast, "more sessions are being opened than the broker can keep apart"), 5*time.Second)
		}
		expires := now.UTC().Add(api.SessionLife)
		token, err := l.seal.session(fingerprint, expires)
		if err != nil {
			return err
		}
		s.cfg.Logger.Info("a session was opened", "role", string(l.role), "name", who.Name)
		return w.json(http.StatusOK, &api.SessionResponse{Session: token, ExpiresAt: expires, Name: who.Name})
	}
}

// keyOf returns a public key in authorized_keys format, and its fingerprint. A
// key that no list can hold is refused before any work is done with it.
func keyOf(line string, nonce []byte) (ssh.PublicKey, string, error) {
	who, err := identity.ParseAuthorizedLine(line)
	if err == nil {
		err = identity.CheckStrength(who.Key)
	}
	if err != nil {
		return nil, "", malformed("public_key: " + strconv.QuoteToASCII(err.Error()))
	}
	if len(nonce) != api.NonceSize {
		return nil, "", malformed("nonce: want " + strconv.Itoa(api.NonceSize) + " bytes")
	}
	return who.Key, who.Fingerprint, nil
}
