// Package users authenticates the users who may request grants. A broker offers
// one or more of four ways:
//
//	access key   ff_<id>_<secret>      --users             key:NAME
//	SSH key      session by challenge  --authorized-users  ssh:SHA256:…
//	OIDC token   signed by an issuer   --oidc-issuer       oidc:ISSUER#SUBJECT
//	none                               --open              anyone
//
// The last column is the user's id, the subject of grants. It is stable: a new
// key for NAME, another comment of an SSH key or another name of a repository
// does not change it.
//
//	users file ───────▶ File ───────┐
//	authorized_users ─▶ Authorized ─┼──▶ Registry ──▶ broker/login
//	issuer ───────────▶ OIDC ───────┘
//
// Check reads changed files again. A file with an error is logged and changes
// nothing.
//
// The users file holds only the SHA-256 of an access key. That suffices, because
// a secret of 256 random bits cannot be guessed. Secrets are compared in constant
// time, and an unknown id costs as much as a wrong secret and gets the same
// error.
package users

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/common/identity"
)

// Every error of Registry but a context's wraps one of these.
var (
	// ErrUnknown: the token belongs to no user. It does not say what is wrong.
	ErrUnknown = errors.New("this broker does not accept the token, or no longer accepts it")
	// ErrExpired: the access key is right, but has ended.
	ErrExpired = errors.New("the access key ended")
	// ErrNotAllowed: the token is valid, and no rule admits it.
	ErrNotAllowed = errors.New("no rule of this broker admits this identity")
	// ErrUnavailable: the issuer's keys cannot be fetched.
	ErrUnavailable = errors.New("the issuer of OIDC tokens does not answer the broker")
)

// User is a user who may request grants.
type User struct {
	// ID is stable. It is the subject of grants.
	ID string
	// Limits are the user's own.
	Limits quota.Limits
}

// Registry has the users of a broker. A nil field is a way to authenticate that
// the broker does not offer; the zero value admits nobody. It is safe for
// concurrent use once its fields are set.
type Registry struct {
	File       *File
	Authorized *Authorized
	OIDC       *OIDC
	// Open admits requests without a token, as [Anyone].
	Open bool
}

// Reload reads the files again.
func (r *Registry) Reload() {
	if r.File != nil {
		r.File.Reload()
	}
	if r.Authorized != nil {
		r.Authorized.Reload()
	}
}

// Check reads the changed files again.
func (r *Registry) Check() {
	if r.File != nil {
		r.File.Check()
	}
	if r.Authorized != nil {
		r.Authorized.Check()
	}
}

// Close ends requests to the issuer.
func (r *Registry) Close() {
	if r.OIDC != nil {
		r.OIDC.Close()
	}
}

// TakesTokens reports whether any token can be valid.
func (r *Registry) TakesTokens() bool {
	return r.File != nil || r.Authorized != nil || r.OIDC != nil
}

// Anybody returns the user of requests without a token, and whether the broker
// is open.
func (r *Registry) Anybody() (User, bool) {
	return r.user(Anyone), r.Open
}

// AccessKey returns the user of the access key. It fails with ErrUnknown or
// ErrExpired.
func (r *Registry) AccessKey(token string, now time.Time) (User, error) {
	key, err := ParseAccessKey(token)
	if err != nil || r.File == nil {
		return User{}, ErrUnknown
	}
	e, err := r.File.authenticate(key, now)
	if err != nil {
		return User{}, err
	}
	return User{ID: e.User, Limits: e.Limits}, nil
}

// SSHKey returns the listed key with the fingerprint.
func (r *Registry) SSHKey(fingerprint string, now time.Time) (identity.Authorized, bool) {
	if r.Authorized == nil {
		return identity.Authorized{}, false
	}
	return r.Authorized.lookup(fingerprint, now)
}

// Session returns the user of a session for the SSH key.
func (r *Registry) Session(fingerprint string, now time.Time) (User, error) {
	if _, ok := r.SSHKey(fingerprint, now); !ok {
		return User{}, ErrUnknown
	}
	return r.user(prefixSSH + fingerprint), nil
}

// Token returns the user of an OIDC token. It fails with ErrUnknown,
// ErrNotAllowed, ErrUnavailable, or the context's error.
func (r *Registry) Token(ctx context.Context, token string, now time.Time) (User, error) {
	if r.OIDC == nil {
		return User{}, ErrUnknown
	}
	id, err := r.OIDC.Verify(ctx, token, now)
	if err != nil {
		return User{}, err
	}
	return r.user(id), nil
}

// Listed returns the ids in the users file, in no order.
func (r *Registry) Listed() []string {
	if r.File == nil {
		return nil
	}
	return slices.Collect(maps.Keys(r.File.Value().byUser))
}

// Still returns the user's present limits, and whether the user may still use
// its grants. Grants are renewed while an offer waits, but not those of a removed
// user. An OIDC token was checked when it came with the request, and the broker
// does not keep it.
func (r *Registry) Still(id string, now time.Time) (User, bool) {
	known := false
	switch {
	case id == Anyone:
		known = r.Open
	case strings.HasPrefix(id, prefixKey):
		known = r.File != nil && r.File.knows(id, now)
	case strings.HasPrefix(id, prefixSSH):
		_, known = r.SSHKey(strings.TrimPrefix(id, prefixSSH), now)
	case strings.HasPrefix(id, prefixOIDC):
		known = r.OIDC != nil
	}
	return r.user(id), known
}

// user fills in the limits. Anyone stands for many users, so the limits of one
// user do not apply to it: it has those of its line in the file, or none.
func (r *Registry) user(id string) User {
	u := User{ID: id}
	if r.File != nil {
		u.Limits = r.File.limits(id)
	}
	if id == Anyone {
		u.Limits = u.Limits.Or(quota.Limits{Jobs: quota.Unlimited, Grants: quota.Unlimited, Sessions: quota.Unlimited})
	}
	return u
}
