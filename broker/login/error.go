package login

import "time"

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
