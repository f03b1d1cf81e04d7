package server

import (
	"net/http"

	"github.com/farforge/farforge/common/api"
)

// health serves GET /health.
func (s *Server) health(w *response, r *http.Request) error {
	status := "ok"
	if s.draining.Load() {
		status = "draining"
	}
	return w.json(http.StatusOK, &api.Health{Status: status, Version: s.cfg.Version, STUN: s.cfg.STUN})
}

// keySet serves GET /.well-known/jwks.json: the keys that verify grants, as a
// JWK Set (RFC 7517), and how they follow one another. A new key signs as soon
// as it is here, so nobody in between may hand out an older set: caches ask
// each time, and are told that nothing has changed.
func (s *Server) keySet(w *response, r *http.Request) error {
	k := s.keys.Load()
	h := w.Header()
	h.Set("Cache-Control", "public, no-cache")
	h.Set("ETag", k.tag)
	if r.Header.Get("If-None-Match") == k.tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return w.send(http.StatusOK, "application/jwk-set+json", k.jwks)
}
