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

// handlerFunc handles a request. An error that it returns is sent as a
// problem; it returns none once it has begun to respond.
type handlerFunc func(w *response, r *http.Request) error

func (s *Server) routes() http.Handler {
	routes := []route{
		{http.MethodPost, api.PathGrantRequest, "grant", s.limited(s.grantRequest)},
		{http.MethodGet, api.PathAgents, "agents", s.limited(s.shownAgents)},
		{http.MethodPost, api.PathOffer, "offer", s.offer},
		{http.MethodPost, api.PathAnswer, "answer", s.answer},
		{http.MethodPost, api.PathCandidate, "candidate", s.candidate},
		{http.MethodGet, api.PathEvents, "events", s.events},
		{http.MethodPost, api.PathConfirmation, "confirmation", s.confirmation},
		{http.MethodPost, api.PathAgentHello, "hello", s.limited(s.hello(s.login.Agents))},
		{http.MethodPost, api.PathAgentSession, "session", s.limited(s.session(s.login.Agents))},
		{http.MethodPost, api.PathUserHello, "user_hello", s.limited(s.hello(s.login.Users))},
		{http.MethodPost, api.PathUserSession, "user_session", s.limited(s.session(s.login.Users))},
		{http.MethodPost, api.PathAgentPoll, "poll", s.poll},
		{http.MethodPost, api.PathAgentReport, "report", s.report},
		{http.MethodGet, api.PathHealth, "health", s.health},
		{http.MethodGet, api.PathJWKS, "jwks", s.keySet},
	}
	routes = append(routes, s.servicesRoutes()...)
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
		return problem(http.StatusMethodNotAllowed, api.CodeWrongMethod, "this path takes "+allowed)
	}
}
