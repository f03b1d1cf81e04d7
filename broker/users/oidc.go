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
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/time/rate"
)

// OIDCConfig says whose tokens are taken, and from whom.
type OIDCConfig struct {
	// Issuer is the https URL of the issuer, as its tokens spell it. Its keys
	// are found as OpenID Connect Discovery 1.0 has it.
	Issuer string
	// Audience is what tokens must be made for, such as the broker's origin.
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

	mu     sync.Mutex
	issuer *metadata // once the issuer has told
	retry  *rate.Limiter
}

// NewOIDC checks the configuration. It does not ask the issuer yet: a broker
// starts while the issuer is away.
func NewOIDC(cfg OIDCConfig) (*OIDC, error) {
	u, err := url.Parse(cfg.Issuer)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("the issuer %q is not an https URL such as https://token.actions.githubusercontent.com", cfg.Issuer)
	case cfg.Audience == "":
		return nil, errors.New("there is no audience: a token that was made for another service would be taken")
	case len(cfg.Allow) == 0:
		return nil, errors.New("there is no rule: everybody with an account at the issuer could use this broker")
	}
	return &OIDC{cfg: cfg, client: throttled(cfg.Client), retry: rate.NewLimiter(rate.Every(fetchInterval), 1)}, nil
}

// Issuer and Audience are what tokens must name.
func (o *OIDC) Issuer() string   { return o.cfg.Issuer }
func (o *OIDC) Audience() string { return o.cfg.Audience }

// Close closes idle connections to the issuer.
func (o *OIDC) Close() { o.client.CloseIdleConnections() }

// Verify returns the id of the user that a token names. It fails with
// ErrUnknown for a token that is wrong in any way, ErrNotAllowed for one that
// no rule admits, ErrUnavailable while the issuer's keys cannot be had, and
// the context's error.
func (o *OIDC) Verify(ctx context.Context, token string, now time.Time) (string, error) {
	// A token that cannot be right anyway costs no signature and no request.
	if err := o.plausible(token, now); err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	issuer, err := o.ready(ctx)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	keys := &askedKeys{KeySet: issuer.keys}
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
		// Also a key that is not among those that were fetched a moment ago.
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

// plausible looks at what the token says before anybody vouches for it.
func (o *OIDC) plausible(token string, now time.Time) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("not a JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return errors.New("its payload is not base64")
	}
	var said struct {
		Issuer  string  `json:"iss"`
		Expires float64 `json:"exp"`
	}
	if err := json.Unmarshal(payload, &said); err != nil {
		return errors.New("its payload is not JSON")
	}
	switch {
	case said.Issuer != o.cfg.Issuer:
		return errors.New("it is another issuer's")
	case float64(now.Unix()) >= said.Expires:
		return errors.New("it has expired")
	}
	return nil
}

// printable escapes what would break a line or a field of one: subjects of
// GitHub's environments can have spaces.
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
