package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/farforge/farforge/common/amp"
	"github.com/farforge/farforge/common/api"
)

// route is one method of one path. name is its label in logs and metrics.
type route struct {
	method, path, name string
	serve              handlerFunc
}

// handlerFunc handles a request. An error that it returns is sent as a problem;
// once it has begun to respond, the error is only counted.
type handlerFunc func(w *response, r *http.Request) error

func (s *Server) routes() http.Handler {
	routes := slices.Concat(clients{s}.routes(), agents{s}.routes(), public{s}.routes(), operators{s}.routes())
	mux, foreign := http.NewServeMux(), newCORS(s.cfg.AllowedOrigins)
	methods := map[string][]string{} // by path
	for _, rt := range routes {
		h := s.wrap(rt.name, rt.serve)
		if foreign.covers(rt.path) {
			h = foreign.handle(h)
		}
		mux.Handle(rt.method+" "+rt.path, h)
		methods[rt.path] = append(methods[rt.path], rt.method)
	}
	for _, rt := range routes {
		if allowed := methods[rt.path]; allowed != nil {
			h := s.wrap(rt.name, wrongMethod(allowed...))
			if foreign.covers(rt.path) {
				h = foreign.preflight(h, allowed)
			}
			mux.Handle(rt.path, h)
			delete(methods, rt.path)
		}
	}
	if !s.cfg.HideMetrics {
		mux.Handle("GET "+api.PathMetrics, s.Metrics())
		mux.Handle(api.PathMetrics, s.wrap("metrics", wrongMethod(http.MethodGet)))
	}
	mux.Handle(amp.Prefix, s.wrap("amp", s.ampPage(mux)))
	mux.Handle("/", s.wrap("none", func(_ *response, r *http.Request) error {
		return problem(http.StatusNotFound, api.CodeNotFound, "there is nothing at this path")
	}))
	return mux
}

func wrongMethod(methods ...string) handlerFunc {
	if slices.Contains(methods, http.MethodGet) {
		methods = append(methods, http.MethodHead)
	}
	allowed := strings.Join(methods, ", ")
	return func(w *response, r *http.Request) error {
		w.Header().Set("Allow", allowed)
		return problem(http.StatusMethodNotAllowed, api.CodeWrongMethod, "this path accepts "+allowed)
	}
}
