package server

import (
	"errors"
	"net/http"
	"time"

	"github.com/farforge/farforge/broker/login"
	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
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

// agentOf returns the agent whose session the request carries.
func (s *Server) agentOf(r *http.Request) (identity.Authorized, error) {
	who, _, err := s.agentSession(r)
	return who, err
}

// agentSession is agentOf, and returns the session token too.
func (s *Server) agentSession(r *http.Request) (identity.Authorized, string, error) {
	who, token, err := s.login.Agent(r.Header.Values("Authorization"))
	return who, token, loginProblem(err)
}

// bearer returns the request's token.
func bearer(r *http.Request) (string, error) {
	token, err := login.Bearer(r.Header.Values("Authorization"))
	return token, loginProblem(err)
}

// loginProblem turns a *login.Error into a problem. Other errors are returned
// as they are.
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

// grantOf verifies the grant that the request carries, as the broker's own and
// for the job in its path. It may have expired, but not longer ago than late.
func (s *Server) grantOf(r *http.Request, late time.Duration) (string, *grant.Grant, error) {
	token, err := bearer(r)
	if err != nil {
		return "", nil, err
	}
	g, err := s.verify(token, late)
	switch {
	case errors.Is(err, grant.ErrExpired):
		return "", nil, grantExpired()
	case err != nil:
		return "", nil, problem(http.StatusUnauthorized, api.CodeBadToken, err.Error(), "request a new grant")
	case g.Issuer != s.cfg.Origin:
		return "", nil, problem(http.StatusUnauthorized, api.CodeBadToken, "the grant is for another broker", "request a new grant")
	case g.JobID != r.PathValue("job_id"):
		return "", nil, problem(http.StatusForbidden, api.CodeForbidden, "the grant is for another job")
	}
	return token, g, nil
}

func grantExpired() error {
	return problem(http.StatusGone, api.CodeExpired, "the grant has expired", "request a new grant")
}

// quotaProblem refuses a user whose limit is reached.
func (s *Server) quotaProblem(r *quota.Refusal) error {
	s.metrics.refused("user_" + r.Limit)
	code := api.CodeQuota
	if r.Limit == "grants" {
		code = api.CodeTooFast
	}
	return after(problem(http.StatusTooManyRequests, code, r.Detail, r.Hints...), r.RetryAfter)
}
