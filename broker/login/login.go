// Package login authenticates agents and users. It takes values and returns
// values or an [Error]; broker/server moves them through HTTP.
//
// Agents and users with SSH keys open a session by signing a challenge:
//
//	agent or user                         broker
//	   │ hello: public key, nonce ──────────▶│ Sessions.Hello
//	   │◀──────────────── challenge, origin ─│   stores nothing
//	   │ session: signature over both ──────▶│ Sessions.Open
//	   │◀───────────────────── session token ─│   each challenge counts once
//	   │ Authorization: Bearer TOKEN ───────▶│ Login.Agent, Login.User
//
// Login.User also accepts access keys and OIDC tokens; broker/users identifies
// their users. Challenges and sessions carry their expiry and a MAC, so every
// broker with the same secret and origin accepts them, also after a restart.
package login

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// Config configures a [Login].
type Config struct {
	// Origin is the broker's own name, such as "https://broker.example.org".
	Origin string
	// Secret authenticates challenges and sessions.
	Secret []byte
	// Agent returns the listed agent with the key's fingerprint.
	Agent func(fingerprint string) (identity.Authorized, bool)
	// Users are the users who may request grants.
	Users  *users.Registry
	Logger *slog.Logger
	Now    func() time.Time
}

// Login authenticates the requests of one broker. It is safe for concurrent use.
type Login struct {
	cfg Config
	// Agents and Users open sessions with SSH keys.
	Agents, Users *Sessions
}

// New returns a Login. All fields of the configuration must be set.
func New(cfg Config) *Login {
	once := newRedeemed(maxRedeemed)
	sessions := func(role identity.Role, hello, list string, lookup func(string) (identity.Authorized, bool)) *Sessions {
		return &Sessions{
			tokens:   Tokens{Secret: cfg.Secret, Origin: cfg.Origin, Role: role},
			redeemed: once, lookup: lookup, hello: hello, list: list,
			logger: cfg.Logger, now: cfg.Now, verify: identity.Verify,
		}
	}
	return &Login{
		cfg:    cfg,
		Agents: sessions(identity.RoleAgent, api.PathAgentHello, "agents", cfg.Agent),
		Users: sessions(identity.RoleUser, api.PathUserHello, "users", func(fingerprint string) (identity.Authorized, bool) {
			return cfg.Users.SSHKey(fingerprint, cfg.Now())
		}),
	}
}

// Bearer returns the bearer token in the values of a request's Authorization
// headers (RFC 6750, section 2.1).
func Bearer(authorization []string) (string, error) {
	if len(authorization) == 0 {
		return "", &Error{Kind: NoToken, Detail: "the request carries no bearer token"}
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	token = strings.TrimLeft(token, " ")
	if len(authorization) != 1 || !strings.EqualFold(scheme, "bearer") || token == "" || strings.ContainsAny(token, " \t,") {
		return "", &Error{Kind: NoToken, Detail: "the Authorization header is not one bearer token"}
	}
	return token, nil
}

// ErrUnlisted refuses the session of an agent that was revoked.
var ErrUnlisted error = &Error{
	Kind: BadToken, Detail: "the agent is not listed any more",
	Hints: []string{"ask the broker's operator to list its key again"},
}

// Agent returns the listed agent whose session the request carries, and the
// session token for RenewAgent.
func (l *Login) Agent(authorization []string) (who identity.Authorized, session string, err error) {
	token, err := Bearer(authorization)
	if err != nil {
		return who, "", err
	}
	fingerprint, err := l.Agents.tokens.CheckSession(token, l.cfg.Now())
	if err != nil {
		return who, "", &Error{
			Kind: BadToken, Detail: err.Error(),
			Hints: []string{"open a new session with " + api.PathAgentHello}, Cause: err,
		}
	}
	who, listed := l.cfg.Agent(fingerprint)
	if !listed {
		return who, "", ErrUnlisted
	}
	return who, token, nil
}

// RenewAgent returns a fresh session token once the agent's own is past half of
// its life; before that it returns "".
func (l *Login) RenewAgent(session, fingerprint string) string {
	return l.Agents.tokens.Renew(session, fingerprint, l.cfg.Now())
}

// retryIssuer is the time after which a user retries while the issuer is away.
const retryIssuer = 10 * time.Second

// User returns the user of a request: the holder of its token, or anyone if the
// broker is open. It fails with an *Error or the context's error.
func (l *Login) User(ctx context.Context, authorization []string) (users.User, error) {
	anybody, open := l.cfg.Users.Anybody()
	if open && (!l.cfg.Users.TakesTokens() || len(authorization) == 0) {
		return anybody, nil
	}
	token, err := Bearer(authorization)
	if err != nil {
		return users.User{}, &Error{Kind: NoToken, Detail: err.Error(), Hints: l.accepted()}
	}
	who, err := l.user(ctx, token)
	switch {
	case errors.Is(err, users.ErrNotAllowed):
		return who, &Error{
			Kind: NotAllowed, Detail: users.ErrNotAllowed.Error(), Cause: err,
			Hints: []string{"the token is valid; ask the broker's operator for an --oidc-allow rule that admits it"},
		}
	case errors.Is(err, users.ErrExpired):
		return who, &Error{Kind: Expired, Detail: err.Error(), Hints: []string{"request a new one from the broker's operator"}, Cause: err}
	case errors.Is(err, users.ErrUnavailable):
		return who, &Error{Kind: Unavailable, Detail: users.ErrUnavailable.Error(), RetryAfter: retryIssuer, Cause: err}
	case errors.Is(err, users.ErrUnknown):
		// Every wrong token gets the same answer: a stranger must not learn
		// which half of a key was right.
		return who, &Error{Kind: BadToken, Detail: users.ErrUnknown.Error(), Hints: l.accepted(), Cause: err}
	}
	return who, err
}

// user distinguishes the kinds of tokens by their form. No form fits two kinds.
func (l *Login) user(ctx context.Context, token string) (users.User, error) {
	now := l.cfg.Now()
	switch {
	case users.LooksLikeAccessKey(token):
		return l.cfg.Users.AccessKey(token, now)
	case strings.Count(token, ".") == 2:
		return l.cfg.Users.Token(ctx, token, now)
	default:
		fingerprint, err := l.Users.tokens.CheckSession(token, now)
		if err != nil {
			return users.User{}, users.ErrUnknown
		}
		return l.cfg.Users.Session(fingerprint, now)
	}
}

// accepted lists the kinds of tokens that this broker accepts. It is the same
// for every request.
func (l *Login) accepted() []string {
	var kinds []string
	if l.cfg.Users.File != nil {
		kinds = append(kinds, "this broker accepts access keys; its operator makes them with: broker users add NAME")
	}
	if l.cfg.Users.Authorized != nil {
		kinds = append(kinds, "this broker accepts SSH keys that its operator has listed; open a session with "+api.PathUserHello)
	}
	if oidc := l.cfg.Users.OIDC; oidc != nil {
		kinds = append(kinds, "this broker accepts OIDC tokens of "+oidc.Issuer()+" for the audience "+oidc.Audience())
	}
	return kinds
}

// Kind is the reason of a refusal.
type Kind int

// The kinds of refusals.
const (
	Malformed    Kind = iota // a field of the request cannot be used
	NoToken                  // the request carries no bearer token, or not exactly one
	BadToken                 // a token or challenge that this broker does not accept, or not any more
	Expired                  // an access key that is right but has ended
	BadSignature             // the key is not listed, or did not sign the challenge
	NotAllowed               // a valid identity that no rule admits
	TooMany                  // the memory of redeemed challenges is full
	Unavailable              // the OIDC issuer cannot be reached
)

// String returns the kind as metrics label it.
func (k Kind) String() string {
	return [...]string{"malformed", "no_token", "bad_token", "expired", "bad_signature", "not_allowed", "too_many", "issuer_unavailable"}[k]
}

// Error is a refusal. Its text, hints and time to retry are for the peer.
type Error struct {
	Kind       Kind
	Detail     string
	Hints      []string
	RetryAfter time.Duration // zero unless a retry can succeed
	// Cause is for the operator's log only: it may show a stranger which half
	// of a key was right, or name an address.
	Cause error
}

func (e *Error) Error() string { return e.Detail }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }
