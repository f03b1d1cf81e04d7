package users

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// OIDCConfig configures an [OIDC].
type OIDCConfig struct {
	// Issuer is the https URL of the issuer, as its tokens spell it. Its keys are
	// found by OpenID Connect Discovery 1.0.
	Issuer string
	// Audience is the audience that tokens must name, such as the broker's origin.
	Audience string
	// Allow are the rules; a token must satisfy one of them.
	Allow []Rule
	// Client fetches the issuer's metadata and keys. Default: one with
	// timeouts.
	Client *http.Client
}

// OIDC verifies ID tokens (OpenID Connect Core 1.0). It is safe for concurrent
// use.
type OIDC struct {
	cfg    OIDCConfig
	client *http.Client
	issuer *discovery
}

// NewOIDC checks the configuration. It sends nothing to the issuer yet, so a
// broker starts while the issuer is away.
func NewOIDC(cfg OIDCConfig) (*OIDC, error) {
	u, err := url.Parse(cfg.Issuer)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("the issuer %q is not an https URL such as https://token.actions.githubusercontent.com", cfg.Issuer)
	case cfg.Audience == "":
		return nil, errors.New("there is no audience: tokens for other services would be accepted")
	case len(cfg.Allow) == 0:
		return nil, errors.New("there is no rule: everybody with an account at the issuer could use this broker")
	}
	client := throttled(cfg.Client)
	return &OIDC{cfg: cfg, client: client, issuer: newDiscovery(cfg.Issuer, client)}, nil
}

// Issuer and Audience are what tokens must name.
func (o *OIDC) Issuer() string   { return o.cfg.Issuer }
func (o *OIDC) Audience() string { return o.cfg.Audience }

// Close ends requests to the issuer and closes its connections.
func (o *OIDC) Close() {
	o.issuer.close()
	o.client.CloseIdleConnections()
}

// Verify returns the id of the user that a token names. It fails with
// ErrUnknown for a token that is wrong in any way, ErrNotAllowed for one that
// no rule admits, ErrUnavailable while the issuer's keys cannot be fetched, and
// the context's error.
func (o *OIDC) Verify(ctx context.Context, token string, now time.Time) (string, error) {
	// A token that cannot be right costs neither a signature nor a request.
	if err := o.plausible(token, now); err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	issuer, err := o.issuer.get(ctx)
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	keys := &keyErrors{KeySet: issuer.keys}
	verified, err := oidc.NewVerifier(o.cfg.Issuer, keys, &oidc.Config{
		ClientID: o.cfg.Audience, SupportedSigningAlgs: issuer.algorithms, Now: func() time.Time { return now },
	}).Verify(ctx, token)
	var unreachable *url.Error
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.As(keys.err, &unreachable) && !errors.Is(keys.err, errThrottled):
		return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	case err != nil:
		// This includes a key that is not among those fetched a moment ago.
		return "", fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	claims := map[string]any{}
	if err := verified.Claims(&claims); err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if verified.Subject == "" {
		return "", fmt.Errorf("%w: it has no subject", ErrUnknown)
	}
	for _, rule := range o.cfg.Allow {
		if rule.Admits(claims) {
			return prefixOIDC + o.cfg.Issuer + "#" + printable(verified.Subject), nil
		}
	}
	return "", ErrNotAllowed
}

// plausible checks the unverified claims.
func (o *OIDC) plausible(token string, now time.Time) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("not a JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return errors.New("its payload is not base64")
	}
	var claimed struct {
		Issuer  string  `json:"iss"`
		Expires float64 `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claimed); err != nil {
		return errors.New("its payload is not JSON")
	}
	switch {
	case claimed.Issuer != o.cfg.Issuer:
		return errors.New("it names another issuer")
	case float64(now.Unix()) >= claimed.Expires:
		return errors.New("it has expired")
	}
	return nil
}

// printable escapes characters that would break a line or its fields: subjects
// of GitHub's environments can have spaces.
func printable(subject string) string {
	var b strings.Builder
	for _, c := range []byte(subject) {
		if c <= ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
