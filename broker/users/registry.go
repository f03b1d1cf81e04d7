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

// What is wrong with who asks. Every error of Registry wraps one of them.
var (
	// ErrUnknown: nobody is known by that. It does not tell what was wrong.
	ErrUnknown = errors.New("the token is not one that this broker accepts, or not any more")
	// ErrExpired: its holder proved who it is, but too late.
	ErrExpired = errors.New("the access key ended")
	// ErrNotAllowed: the issuer vouches for who asks, and no rule lets it in.
	ErrNotAllowed = errors.New("no rule of this broker admits this identity")
	// ErrUnavailable: the issuer's keys cannot be had.
	ErrUnavailable = errors.New("the issuer of OIDC tokens does not answer the broker")
)

// User is somebody who may ask for grants.
type User struct {
	// ID is stable: the subject of grants.
	ID string
	// Limits are the user's own.
	Limits quota.Limits
}

// Registry is everybody who may ask for grants. Fields that are nil are ways
// in that the broker does not offer; the zero value admits nobody. It is safe
// for concurrent use once it is filled.
type Registry struct {
	File       *File
	Authorized *Authorized
	OIDC       *OIDC
	// Open admits who presents nothing, as [Anyone].
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

// Check reads those files again that have changed.
func (r *Registry) Check() {
	if r.File != nil {
		r.File.Check()
	}
	if r.Authorized != nil {
		r.Authorized.Check()
	}
}

// Close closes idle connections to the issuer.
func (r *Registry) Close() {
	if r.OIDC != nil {
		r.OIDC.Close()
	}
}

// TakesTokens tells whether there is any way in with a token.
func (r *Registry) TakesTokens() bool {
	return r.File != nil || r.Authorized != nil || r.OIDC != nil
}

// Anybody returns the user who presents nothing, if the broker is open.
func (r *Registry) Anybody() (User, bool) {
	return r.user(Anyone), r.Open
}

// AccessKey returns the user whose access key it is. It fails with ErrUnknown
// or ErrExpired.
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

// Session returns the user whose session is for the SSH key.
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

// Still tells whether the user may still have what was granted before, and
// with which limits. Grants are renewed while an offer waits; a user who was
// taken off the lists is not waited with. An OIDC token spoke for its holder
// when the grant was asked for, and is not at hand any more.
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

// user fills in the limits. Anyone is not one user but all who present
// nothing, so no limit of a user applies to it unless the file has a line for
// it.
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
