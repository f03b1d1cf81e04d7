package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/farforge/farforge/common/api"
)

// AnyOrigin among the allowed origins lets every page on the web use the API
// without a token.
const AnyOrigin = "*"

// preflightAge is how long a browser may cache a preflight, in seconds: Chromium's
// maximum.
const preflightAge = "7200"

// cors lets pages of other origins use the paths that a browser needs for a job, as
// the Fetch standard defines it. Credentials are never allowed: a page sends tokens
// itself, and there are no cookies that a foreign page could use.
type cors struct {
	origins []string
	any     bool
}

func newCORS(origins []string) cors {
	return cors{origins: origins, any: slices.Contains(origins, AnyOrigin)}
}

// covers reports whether pages of other origins may use the path at all. The paths
// of agents and operators are not for browsers.
func (c cors) covers(path string) bool {
	if len(c.origins) == 0 {
		return false
	}
	return path == api.PathGrantRequest || path == api.PathAgents || path == api.PathHealth || path == api.PathJWKS || strings.HasPrefix(path, "/signaling/")
}

// allow sets the headers that say whether a page of the request's origin may read
// the response.
func (c cors) allow(h http.Header, origin string) bool {
	if c.any {
		h.Set("Access-Control-Allow-Origin", AnyOrigin)
		return true
	}
	h.Add("Vary", "Origin") // also without an Origin header: caches keep one response for all
	if !slices.Contains(c.origins, origin) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	return true
}

// handle lets pages of allowed origins read the responses.
func (c cors) handle(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.allow(w.Header(), r.Header.Get("Origin")) {
			w.Header().Set("Access-Control-Expose-Headers", "Link, Retry-After")
		}
		next.ServeHTTP(w, r)
	})
}

// preflight answers preflight requests for a path that accepts the methods. Other
// requests go on to next.
func (c cors) preflight(next http.Handler, methods []string) http.Handler {
	allowed := strings.Join(methods, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Header.Get("Access-Control-Request-Method")
		if r.Method != http.MethodOptions || method == "" || r.Header.Get("Origin") == "" {
			c.handle(next).ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
		if c.allow(h, r.Header.Get("Origin")) {
			h.Set("Access-Control-Allow-Methods", allowed)
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			h.Set("Access-Control-Max-Age", preflightAge)
		}
		w.WriteHeader(http.StatusNoContent)
	})
}
