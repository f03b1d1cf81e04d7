package server

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/farforge/farforge/common/api"
)

// health serves GET /health.
func (s *Server) health(w *response, r *http.Request) error {
	status := "ok"
	if s.draining.Load() {
		status = "draining"
	}
	return w.json(http.StatusOK, &api.Health{Status: status, Version: s.cfg.Version})
}

// keySet serves GET /.well-known/jwks.json: the keys that verify grants, as a
// JWK Set (RFC 7517).
func (s *Server) keySet(w *response, r *http.Request) error {
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("ETag", s.jwksTag)
	if r.Header.Get("If-None-Match") == s.jwksTag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return w.send(http.StatusOK, "application/jwk-set+json", s.jwks)
}

func etag(b []byte) string {
	sum := sha256.Sum256(b)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}
