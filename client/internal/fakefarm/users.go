package fakefarm

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// challenge is the same every time: the client's tests do not replay challenges.
const challenge = "the farm's challenge"

// SessionToken returns the token for the user with a key.
func SessionToken(fingerprint string) string { return "session-of-" + fingerprint }

func (b *Broker) userHello(w http.ResponseWriter, r *http.Request) {
	var hello api.HelloRequest
	if err := json.NewDecoder(r.Body).Decode(&hello); err != nil || len(hello.Nonce) != api.NonceSize {
		b.t.Errorf("hello: %+v, %v", hello, err)
	}
	reply(w, http.StatusOK, api.HelloResponse{Challenge: []byte(challenge), Origin: b.URL, ExpiresAt: time.Now().Add(api.ChallengeLife)})
}

func (b *Broker) userSession(w http.ResponseWriter, r *http.Request) {
	var req api.SessionRequest
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		b.t.Errorf("session: %v", err)
	}
	user, err := identity.ParseAuthorizedLine(req.PublicKey)
	if err != nil {
		b.t.Errorf("session: %v", err)
		return
	}
	signed := identity.Challenge{Role: identity.RoleUser, Origin: b.URL, Challenge: []byte(challenge), Nonce: req.Nonce, Fingerprint: user.Fingerprint}
	if err := identity.Verify(user.Key, identity.NamespaceSession, signed.SignedBytes(), req.Signature); err != nil || string(req.Challenge) != challenge {
		b.t.Errorf("session: %v", err)
	}
	b.mu.Lock()
	known := slices.Contains(b.Users, user.Fingerprint)
	b.mu.Unlock()
	if !known {
		refuse(w, &api.Problem{Status: http.StatusUnauthorized, Code: api.CodeBadSignature, Detail: "the key is not listed here, or the signature is not by it"})
		return
	}
	reply(w, http.StatusOK, api.SessionResponse{Session: SessionToken(user.Fingerprint), ExpiresAt: time.Now().Add(api.SessionLife), Name: "user"})
}
