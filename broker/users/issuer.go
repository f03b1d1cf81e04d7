package users

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/time/rate"
)

// metadata is the issuer's discovery document.
type metadata struct {
	algorithms []string
	keys       oidc.KeySet
}

// algorithms are the signature algorithms of tokens; none is symmetric.
var algorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512,
	oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

// Limits of requests to the issuer. Its keys are cached; an unknown key makes
// go-oidc fetch them again, so made-up tokens must not make the broker flood the
// issuer.
const (
	maxMetadata   = 1 << 20 // bytes
	fetchTimeout  = 10 * time.Second
	fetchInterval = 5 * time.Second
	fetchBurst    = 5
)

// throttled returns a client that limits its requests. It is based on the given
// client, or on one with timeouts if that is nil.
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

// throttle refuses requests that come too fast, and turns an issuer's failure
// into an error, so that it differs from a token's.
type throttle struct {
	next  http.RoundTripper
	limit *rate.Limiter

	mu sync.Mutex
	// failed is the error of the last request that was sent.
	failed error
}

var errThrottled = errors.New("the broker fetched from the issuer a moment ago")

func (t *throttle) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, fmt.Errorf("the issuer redirects to %s, which is not https", r.URL.Redacted())
	}
	if !t.limit.Allow() {
		// A failure a moment ago is still the issuer's fault, not the token's.
		if err := t.last(); err != nil {
			return nil, err
		}
		return nil, errThrottled
	}
	resp, err := t.fetch(r)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = err
	return resp, err
}

func (t *throttle) fetch(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		return nil, fmt.Errorf("the issuer answered %s", resp.Status)
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, resp.Body, maxMetadata))
	if err != nil {
		return nil, fmt.Errorf("read the issuer's response: %w", err)
	}
	body = usableKeys(body)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// usableKeys removes the keys of a key set that cannot be read, as RFC 7517,
// section 5 requires; go-oidc would refuse the whole set for some of them. It
// returns anything else unchanged.
func usableKeys(body []byte) []byte {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(body, &set) != nil || set.Keys == nil {
		return body
	}
	usable := []json.RawMessage{}
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && key.Valid() {
			usable = append(usable, raw)
		}
	}
	set.Keys = usable
	filtered, err := json.Marshal(set)
	if err != nil {
		return body
	}
	return filtered
}

func (t *throttle) last() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

// CloseIdleConnections is called by http.Client.
func (t *throttle) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// keyErrors keeps the error of a KeySet for one token: the verifier passes on
// its text only.
type keyErrors struct {
	oidc.KeySet
	err error
}

func (k *keyErrors) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, token)
	k.err = err
	return payload, err
}

// discovery finds an issuer's metadata once. One request serves all tokens that
// wait for it and belongs to none of them: a client that hangs up neither ends
// the discovery nor delays the next one.
type discovery struct {
	issuer string
	client *http.Client
	retry  *rate.Limiter
	ended  context.Context
	end    context.CancelFunc
	loops  sync.WaitGroup

	mu       sync.Mutex
	inflight *attempt // or the one that succeeded
}

// attempt is one request for the metadata. Its results are set when done closes.
type attempt struct {
	done  chan struct{}
	found *metadata
	err   error
}

func newDiscovery(issuer string, client *http.Client) *discovery {
	d := &discovery{issuer: issuer, client: client, retry: rate.NewLimiter(rate.Every(fetchInterval), 1)}
	d.ended, d.end = context.WithCancel(context.Background())
	return d
}

// close ends an attempt that is under way, and waits for it.
func (d *discovery) close() {
	d.end()
	d.loops.Wait()
}

// get returns the metadata, and waits for it as long as ctx lasts.
func (d *discovery) get(ctx context.Context) (*metadata, error) {
	a, err := d.join()
	if err != nil {
		return nil, err
	}
	select {
	case <-a.done:
		return a.found, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// join returns the attempt that succeeded, the one under way, or a new one.
func (d *discovery) join() (*attempt, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inflight != nil {
		return d.inflight, nil
	}
	if d.ended.Err() != nil || !d.retry.Allow() {
		return nil, errThrottled
	}
	a := &attempt{done: make(chan struct{})}
	d.inflight = a
	d.loops.Go(func() {
		a.found, a.err = d.fetch()
		if a.err != nil {
			d.mu.Lock()
			d.inflight = nil // the next token tries again
			d.mu.Unlock()
		}
		close(a.done)
	})
	return a, nil
}

func (d *discovery) fetch() (*metadata, error) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(d.ended, d.client), fetchTimeout)
	defer cancel()
	provider, err := oidc.NewProvider(ctx, d.issuer)
	if err != nil {
		return nil, err
	}
	var published struct {
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
		Keys       string   `json:"jwks_uri"`
	}
	if err := provider.Claims(&published); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(published.Keys, "https://") {
		return nil, fmt.Errorf("the issuer's keys are at %q, which is not https", published.Keys)
	}
	m := &metadata{keys: oidc.NewRemoteKeySet(ctx, published.Keys)}
	for _, alg := range published.Algorithms {
		if slices.Contains(algorithms, alg) {
			m.algorithms = append(m.algorithms, alg)
		}
	}
	return m, nil
}
