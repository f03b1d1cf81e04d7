// Package issuer is an OpenID Connect issuer for tests: discovery and keys over
// real HTTPS on loopback, and tokens as a CI service makes them.
package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Issuer issues tokens. It is safe for concurrent use.
type Issuer struct {
	// URL is its name; Client trusts its certificate.
	URL    string
	Client *http.Client
	// Fetches counts requests for its keys; Down makes it fail.
	Fetches atomic.Int64
	Down    atomic.Bool

	mu    sync.Mutex
	keys  map[string]*ecdsa.PrivateKey
	kid   string
	extra []json.RawMessage
	held  chan struct{} // nil unless requests are held
	came  chan struct{}
}

// Hold makes requests wait until release is called. Each waiting request sends to
// came.
func (i *Issuer) Hold() (came <-chan struct{}, release func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	held := make(chan struct{})
	i.held, i.came = held, make(chan struct{}, 100)
	return i.came, sync.OnceFunc(func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.held = nil
		close(held)
	})
}

// Publish adds a key in JSON to the published ones.
func (i *Issuer) Publish(key string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.extra = append(i.extra, json.RawMessage(key))
}

// New starts an issuer with one key. It ends with the test.
func New(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{keys: map[string]*ecdsa.PrivateKey{}}
	i.Rotate(t, "first")
	server := httptest.NewTLSServer(http.HandlerFunc(i.serve))
	t.Cleanup(server.Close)
	i.URL, i.Client = server.URL, server.Client()
	i.Client.Timeout = 10 * time.Second
	t.Cleanup(i.Client.CloseIdleConnections)
	return i
}

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	held, came := i.held, i.came
	i.mu.Unlock()
	if held != nil {
		came <- struct{}{}
		<-held
	}
	if i.Down.Load() {
		http.Error(w, "down", http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	var body any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		body = map[string]any{
			"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/none",
			"id_token_signing_alg_values_supported": []string{"ES256"},
		}
	case "/keys":
		i.Fetches.Add(1)
		body = map[string]any{"keys": i.jwks()}
	default:
		http.NotFound(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(body)
}

func (i *Issuer) jwks() []any {
	i.mu.Lock()
	defer i.mu.Unlock()
	var keys []any
	for _, key := range i.extra {
		keys = append(keys, key)
	}
	for kid, key := range i.keys {
		point, err := key.PublicKey.Bytes() // 4, x, y
		if err != nil {
			return nil
		}
		half := (len(point) - 1) / 2
		keys = append(keys, map[string]string{
			"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid,
			"x": base64.RawURLEncoding.EncodeToString(point[1 : 1+half]), "y": base64.RawURLEncoding.EncodeToString(point[1+half:]),
		})
	}
	return keys
}

// Rotate makes a new key for later tokens. The older ones stay published.
func (i *Issuer) Rotate(t testing.TB, kid string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys[kid], i.kid = key, kid
}

// Claims returns the claims of a valid token, to be changed before Sign.
func (i *Issuer) Claims(audience string) jwt.MapClaims {
	now := time.Now()
	return jwt.MapClaims{
		"iss": i.URL, "aud": audience, "sub": "repo:acme/lamp:ref:refs/heads/main",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		"repository": "acme/lamp", "repository_owner": "acme", "ref": "refs/heads/main",
	}
}

// Sign signs claims with the newest key.
func (i *Issuer) Sign(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	return SignWith(t, i.keys[i.kid], i.kid, claims)
}

// Token returns a valid token but for the claims in change; nil removes a claim.
func (i *Issuer) Token(t testing.TB, audience string, change map[string]any) string {
	t.Helper()
	claims := i.Claims(audience)
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return i.Sign(t, claims)
}

// SignWith signs claims with any key.
func SignWith(t testing.TB, key *ecdsa.PrivateKey, kid string, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = kid
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
