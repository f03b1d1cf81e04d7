package server

import (
	"net/http"
	"strconv"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// hello serves POST /agents/hello. Any key gets a challenge: whether it is
// listed shows only to who can sign with it.
func (s *Server) hello(w *response, r *http.Request) error {
	var req api.HelloRequest
	if err := readJSON(w, r, &req); err != nil {
		return err
	}
	fingerprint, err := agentKey(req.PublicKey, req.Nonce)
	if err != nil {
		return err
	}
	expires := s.now().UTC().Add(api.ChallengeLife)
	return w.json(http.StatusOK, &api.HelloResponse{
		Challenge: s.sessions.challenge(req.Nonce, fingerprint, expires),
		Origin:    s.cfg.Origin, ExpiresAt: expires,
	})
}

// session serves POST /agents/session.
func (s *Server) session(w *response, r *http.Request) error {
	var req api.SessionRequest
	if err := readJSON(w, r, &req); err != nil {
		return err
	}
	fingerprint, err := agentKey(req.PublicKey, req.Nonce)
	if err != nil {
		return err
	}
	now := s.now()
	if err := s.sessions.openChallenge(req.Challenge, req.Nonce, fingerprint, now); err != nil {
		return problem(http.StatusUnauthorized, api.CodeBadToken, "the challenge is not this broker's for this key and nonce, or it has expired",
			"ask for a new one with "+api.PathAgentHello)
	}
	who, listed := s.cfg.Directory.Lookup(fingerprint)
	if !listed {
		who.Key = s.nobody
	}
	message := identity.Challenge{Role: identity.RoleAgent, Origin: s.cfg.Origin, Challenge: req.Challenge, Nonce: req.Nonce, Fingerprint: fingerprint}.SignedBytes()
	err = identity.Verify(who.Key, identity.NamespaceSession, message, req.Signature)
	if err != nil || !listed || !s.used.first(string(req.Challenge), struct{}{}) {
		return problem(http.StatusUnauthorized, api.CodeBadSignature, "the key is not listed here, or the signature is not its own",
			"is the agent's public key in the broker's list of agents?",
			"is the broker's --origin the URL that the agent dials?")
	}
	expires := now.UTC().Add(api.SessionLife)
	token, err := s.sessions.session(fingerprint, expires)
	if err != nil {
		return err
	}
	s.cfg.Logger.Info("an agent opened a session", "agent", who.Name)
	return w.json(http.StatusOK, &api.SessionResponse{Session: token, ExpiresAt: expires, Name: who.Name})
}

// agentKey returns the fingerprint of a public key in authorized_keys format.
func agentKey(line string, nonce []byte) (string, error) {
	key, err := identity.ParseAuthorizedLine(line)
	if err != nil {
		return "", malformed("public_key: " + strconv.QuoteToASCII(err.Error()))
	}
	if len(nonce) != api.NonceSize {
		return "", malformed("nonce: want " + strconv.Itoa(api.NonceSize) + " bytes")
	}
	return ssh.FingerprintSHA256(key.Key), nil
}
