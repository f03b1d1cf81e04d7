package server

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/farforge/farforge/common/grant"
)

// keys are what grants are signed and verified with at one time.
type keys struct {
	signer *grant.Signer
	set    *grant.KeySet
	// jwks is what is published, and tag its entity tag.
	jwks []byte
	tag  string
}

// UseKeys changes the keys under the running server. Grants that were signed
// before are good for as long as their key is among the published ones.
func (s *Server) UseKeys(signer *grant.Signer, published *grant.Published) error {
	jwks, err := json.Marshal(published)
	if err != nil {
		return fmt.Errorf("broker server: write the key set: %w", err)
	}
	sum := sha256.Sum256(jwks)
	s.keys.Store(&keys{signer: signer, set: published.Keys, jwks: jwks, tag: `"` + hex.EncodeToString(sum[:16]) + `"`})
	return nil
}
