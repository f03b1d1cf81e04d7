package server

import (
	"errors"
	"net/http"

	"github.com/farforge/farforge/broker/login"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// hello serves POST /agents/hello and POST /users/hello.
func (s *Server) hello(sessions *login.Sessions) handlerFunc {
	return func(w *response, r *http.Request) error {
		var req api.HelloRequest
		if err := readJSON(w, r, &req); err != nil {
			return err
		}
		challenge, err := sessions.Hello(&req)
		if err != nil {
			return loginProblem(err)
		}
		return w.json(http.StatusOK, challenge)
	}
}

// session serves POST /agents/session and POST /users/session.
func (s *Server) session(sessions *login.Sessions) handlerFunc {
	return func(w *response, r *http.Request) error {
		var req api.SessionRequest
		if err := readJSON(w, r, &req); err != nil {
			return err
		}
		session, err := sessions.Open(&req)
		if err != nil {
			return loginProblem(err)
		}
		return w.json(http.StatusOK, session)
	}
}

// userOf returns the user who sends the request, and counts refusals.
func (s *Server) userOf(r *http.Request) (users.User, error) {
	who, err := s.login.User(r.Context(), r.Header.Values("Authorization"))
	if refused, ok := errors.AsType[*login.Error](err); ok {
		s.metrics.refused(refused.Kind.String())
		switch refused.Kind {
		case login.Unavailable:
			s.cfg.Logger.Warn("OIDC tokens cannot be checked", "err", scrub(refused.Cause.Error()))
		case login.BadToken:
			s.cfg.Logger.Debug("a user's token was refused", "err", scrub(refused.Cause.Error()))
		}
	}
	return who, loginProblem(err)
}

// agentSession returns the agent whose session the request carries, and the
// session token.
func (s *Server) agentSession(r *http.Request) (identity.Authorized, string, error) {
	who, token, err := s.login.Agent(r.Header.Values("Authorization"))
	return who, token, loginProblem(err)
}

// bearer returns the request's token.
func bearer(r *http.Request) (string, error) {
	token, err := login.Bearer(r.Header.Values("Authorization"))
	return token, loginProblem(err)
}

// loginProblem turns a *login.Error into a problem. Other errors are returned as
// they are.
func loginProblem(err error) error {
	refused, ok := errors.AsType[*login.Error](err)
	if !ok {
		return err
	}
	status, code := http.StatusUnauthorized, api.CodeBadToken
	switch refused.Kind {
	case login.Malformed:
		status, code = http.StatusBadRequest, api.CodeMalformed
	case login.NoToken:
		code = api.CodeUnauthorized
	case login.BadSignature:
		code = api.CodeBadSignature
	case login.NotAllowed:
		status, code = http.StatusForbidden, api.CodeForbidden
	case login.TooMany:
		status, code = http.StatusTooManyRequests, api.CodeTooFast
	case login.Unavailable:
		status, code = http.StatusInternalServerError, api.CodeInternal
	}
	p := problem(status, code, refused.Detail, refused.Hints...)
	if refused.RetryAfter > 0 {
		after(p, refused.RetryAfter)
	}
	return p
}
