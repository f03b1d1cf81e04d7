package server

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
)

// bearer returns the request's token (RFC 6750, section 2.1).
func bearer(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", problem(http.StatusUnauthorized, api.CodeUnauthorized, "the request carries no bearer token")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimLeft(token, " ")
	if len(values) != 1 || !strings.EqualFold(scheme, "bearer") || token == "" || strings.ContainsAny(token, " \t,") {
		return "", problem(http.StatusUnauthorized, api.CodeUnauthorized, "the Authorization header is not one bearer token")
	}
	return token, nil
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

// agentOf returns the agent whose session the request carries.
func (s *Server) agentOf(r *http.Request) (identity.Authorized, error) {
	who, _, err := s.agentSession(r)
	return who, err
}

// agentSession is agentOf, and returns the session token too.
func (s *Server) agentSession(r *http.Request) (who identity.Authorized, token string, err error) {
	if token, err = bearer(r); err != nil {
		return who, "", err
	}
	fingerprint, err := s.sessions.openSession(token, s.now())
	if err == nil {
		if who, ok := s.cfg.Directory.Lookup(fingerprint); ok {
			return who, token, nil
		}
		return who, "", unlistedProblem()
	}
	return who, "", problem(http.StatusUnauthorized, api.CodeBadToken, err.Error(), "open a new session with "+api.PathAgentHello)
}

// unlistedProblem ends the session of an agent that was revoked.
func unlistedProblem() error {
	return problem(http.StatusUnauthorized, api.CodeBadToken, "the agent is not listed any more",
		"ask the broker's operator to list its key again")
}
