package server

import (
	"net/http"
	"strconv"

	"github.com/farforge/farforge/common/api"
)

// limited lets a network through only so often, before anything that it sends
// is read. What has no address shares one bucket.
func (s *Server) limited(serve handlerFunc) handlerFunc {
	if s.cfg.Addresses == nil {
		return serve
	}
	return func(w *response, r *http.Request) error {
		wait, ok := s.cfg.Addresses.Allow(s.placeOf(r), s.now())
		if !ok {
			s.metrics.refused("address")
			return after(problem(http.StatusTooManyRequests, api.CodeTooFast, "too many requests come from your network",
				"come back in "+strconv.Itoa(seconds(wait))+" s"), wait)
		}
		return serve(w, r)
	}
}
