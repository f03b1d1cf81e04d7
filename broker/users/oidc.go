package users

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
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

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier // once the issuer has told its metadata
	retry    *rate.Limiter
}

// How often the issuer is asked. Its keys are cached; a key that is unknown
// makes go-oidc ask again, and whoever sends made-up tokens must not make the
// broker flood the issuer.
const (
	fetchTimeout  = 10 * time.Second
	fetchInterval = 5 * time.Second
	fetchBurst    = 5
)

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
	client := cfg.Client
	if client == nil {
		client = &http.Client{
			Timeout: fetchTimeout,
			Transport: &http.Transport{
				Proxy:                 http.ProxyFromEnvironment,
				DialContext:           (&net.Dialer{Timeout: fetchTimeout}).DialContext,
				TLSHandshakeTimeout:   fetchTimeout,
				ResponseHeaderTimeout: fetchTimeout,
				IdleConnTimeout:       time.Minute,
				ForceAttemptHTTP2:     true,
			},
		}
	}
	slow := *client
	transport := client.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	slow.Transport = &throttle{next: transport, limit: rate.NewLimiter(rate.Every(fetchInterval), fetchBurst)}
	return &OIDC{cfg: cfg, client: &slow, retry: rate.NewLimiter(rate.Every(fetchInterval), 1)}, nil
}

// Issuer and Audience are what tokens must name.
func (o *OIDC) Issuer() string   { return o.cfg.Issuer }
func (o *OIDC) Audience() string { return o.cfg.Audience }

// Close closes idle connections to the issuer.
func (o *OIDC) Close() { o.client.CloseIdleConnections() }

// throttle refuses requests that come too fast, and makes an issuer's failure
// an error, so that it can be told from a token's.
type throttle struct {
	next  http.RoundTripper
	limit *rate.Limiter
}

var errThrottled = errors.New("the issuer was asked a moment ago")

func (t *throttle) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.limit.Allow() {
		return nil, errThrottled
	}
	resp, err := t.next.RoundTrip(r)
	if err == nil && resp.StatusCode >= 400 {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("the issuer answered %s", resp.Status)
	}
	return resp, err
}

// CloseIdleConnections is what http.Client looks for.
func (t *throttle) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// Verify returns the id of the user that a token names. It fails with
// ErrUnknown for a token that is wrong in any way, ErrNotAllowed for one that
// no rule admits, ErrUnavailable while the issuer's keys cannot be had, and
// the context's error.
func (o *OIDC) Verify(ctx context.Context, token string, now time.Time) (string, error) {
	// A token that cannot be right anyway costs no signature and no request.
	if err := o.plausible(token, now); err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	verifier, err := o.ready(ctx)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	verified, err := verifier.Verify(ctx, token)
	var unreachable *url.Error
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.Is(err, errThrottled):
		// Its key is not among those that were fetched a moment ago.
		return "", fmt.Errorf("%w: %w", ErrUnknown, err)
	case errors.As(err, &unreachable):
		return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	case err != nil:
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

// ready returns the verifier, and asks for the issuer's metadata first if that
// was not possible before.
func (o *OIDC) ready(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.verifier != nil {
		return o.verifier, nil
	}
	if !o.retry.Allow() {
		return nil, errThrottled
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	ctx = oidc.ClientContext(ctx, o.client)
	provider, err := oidc.NewProvider(ctx, o.cfg.Issuer)
	if err != nil {
		return nil, err
	}
	o.verifier = provider.VerifierContext(ctx, &oidc.Config{ClientID: o.cfg.Audience})
	return o.verifier, nil
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
