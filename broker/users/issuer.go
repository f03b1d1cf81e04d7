package users

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/time/rate"
)

// metadata is what the issuer tells of itself.
type metadata struct {
	algorithms []string
	keys       oidc.KeySet
}

// algorithms are those that a token may be signed with; none is symmetric.
var algorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512,
	oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

// How often the issuer is asked. Its keys are cached; a key that is unknown
// makes go-oidc ask again, and whoever sends made-up tokens must not make the
// broker flood the issuer.
const (
	fetchTimeout  = 10 * time.Second
	fetchInterval = 5 * time.Second
	fetchBurst    = 5
)

// throttled returns a client that spares the issuer. Nil means one with
// timeouts.
func throttled(client *http.Client) *http.Client {
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
	return &slow
}

// throttle refuses requests that come too fast, and makes an issuer's failure
// an error, so that it can be told from a token's.
type throttle struct {
	next  http.RoundTripper
	limit *rate.Limiter
}

var errThrottled = errors.New("the issuer was asked a moment ago")

func (t *throttle) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, fmt.Errorf("the issuer sends to %s, which is not https", r.URL.Redacted())
	}
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

// askedKeys keeps the error of a KeySet for one token: the verifier passes only
// its text on.
type askedKeys struct {
	oidc.KeySet
	err error
}

func (k *askedKeys) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, token)
	k.err = err
	return payload, err
}

// ready returns the issuer's metadata, and asks for it if that was not possible
// before.
func (o *OIDC) ready(ctx context.Context) (*metadata, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.issuer != nil {
		return o.issuer, nil
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
	var told struct {
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
		Keys       string   `json:"jwks_uri"`
	}
	if err := provider.Claims(&told); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(told.Keys, "https://") {
		return nil, fmt.Errorf("the issuer's keys are at %q, which is not https", told.Keys)
	}
	m := &metadata{keys: oidc.NewRemoteKeySet(ctx, told.Keys)}
	for _, alg := range told.Algorithms {
		if slices.Contains(algorithms, alg) {
			m.algorithms = append(m.algorithms, alg)
		}
	}
	o.issuer = m
	return m, nil
}
