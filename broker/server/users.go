package server

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// userSeal seals what users' SSH keys get: another role than agents'.
func (s *Server) userSeal() sealer {
	return sealer{secret: s.cfg.Secret, origin: s.cfg.Origin, role: identity.RoleUser}
}

// userLogin is how users open sessions with SSH keys.
func (s *Server) userLogin() login {
	return login{
		role: identity.RoleUser, hello: api.PathUserHello, list: "users", seal: s.userSeal(),
		lookup: func(fingerprint string) (identity.Authorized, bool) {
			return s.cfg.Users.SSHKey(fingerprint, s.now())
		},
	}
}

// userOf returns the user who asks for a grant.
func (s *Server) userOf(r *http.Request) (users.User, error) {
	anybody, open := s.cfg.Users.Anybody()
	if open && (!s.cfg.Users.TakesTokens() || len(r.Header.Values("Authorization")) == 0) {
		return anybody, nil
	}
	token, err := bearer(r)
	if err != nil {
		s.metrics.refused("no_token")
		return users.User{}, withHints(err, s.waysIn()...)
	}
	who, err := s.authenticate(r.Context(), token)
	switch {
	case err == nil:
		return who, nil
	case errors.Is(err, users.ErrNotAllowed):
		s.metrics.refused("not_allowed")
		return users.User{}, problem(http.StatusForbidden, api.CodeForbidden, users.ErrNotAllowed.Error(),
			"the token is good; ask the broker's operator for an --oidc-allow rule that fits it")
	case errors.Is(err, users.ErrExpired):
		s.metrics.refused("expired")
		return users.User{}, problem(http.StatusUnauthorized, api.CodeBadToken, err.Error(), "ask the broker's operator for a new one")
	case errors.Is(err, users.ErrUnavailable):
		s.cfg.Logger.Warn("OIDC tokens cannot be checked", "err", scrub(err.Error()))
		s.metrics.refused("issuer_unavailable")
		return users.User{}, after(problem(http.StatusInternalServerError, api.CodeInternal, users.ErrUnavailable.Error()), retryIssuer)
	case errors.Is(err, users.ErrUnknown):
		// One answer for all that can be wrong: it must not tell a stranger
		// which half of a key was right. The operator finds more in the log.
		s.cfg.Logger.Debug("a token was refused", "err", scrub(err.Error()))
		s.metrics.refused("bad_token")
		return users.User{}, problem(http.StatusUnauthorized, api.CodeBadToken, users.ErrUnknown.Error(), s.waysIn()...)
	}
	return users.User{}, err
}

// authenticate tells the kind of a token by its form. No form fits two kinds.
func (s *Server) authenticate(ctx context.Context, token string) (users.User, error) {
	now := s.now()
	switch {
	case users.LooksLikeAccessKey(token):
		return s.cfg.Users.AccessKey(token, now)
	case strings.Count(token, ".") == 2:
		return s.cfg.Users.Token(ctx, token, now)
	default:
		fingerprint, err := s.userSeal().openSession(token, now)
		if err != nil {
			return users.User{}, users.ErrUnknown
		}
		return s.cfg.Users.Session(fingerprint, now)
	}
}

// waysIn tells what this broker takes. It is the same for everybody.
func (s *Server) waysIn() []string {
	var ways []string
	if s.cfg.Users.File != nil {
		ways = append(ways, "this broker takes access keys; its operator makes them with: broker users add NAME")
	}
	if s.cfg.Users.Authorized != nil {
		ways = append(ways, "this broker takes SSH keys that its operator has listed; a session begins with "+api.PathUserHello)
	}
	if s.cfg.Users.OIDC != nil {
		ways = append(ways, "this broker takes OIDC tokens of "+s.cfg.Users.OIDC.Issuer()+" for the audience "+s.cfg.Users.OIDC.Audience())
	}
	return ways
}

func withHints(err error, hints ...string) error {
	var p *api.Problem
	if errors.As(err, &p) {
		p.Hints = append(p.Hints, hints...)
	}
	return err
}

// quotaProblem is what a user hears whose limit is reached.
func (s *Server) quotaProblem(r *quota.Refusal) error {
	s.metrics.refused("user_" + r.Limit)
	code := api.CodeQuota
	if r.Limit == "grants" {
		code = api.CodeTooFast
	}
	return after(problem(http.StatusTooManyRequests, code, r.Detail, r.Hints...), r.RetryAfter)
}
