package users

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/farforge/farforge/broker/internal/issuer"
)

const audience = "https://broker.example.org"

func newOIDC(t *testing.T, i *issuer.Issuer, rules ...string) *OIDC {
	t.Helper()
	cfg := OIDCConfig{Issuer: i.URL, Audience: audience, Client: i.Client}
	for _, text := range rules {
		rule, err := ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Allow = append(cfg.Allow, rule)
	}
	o, err := NewOIDC(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

func TestOIDCTokens(t *testing.T) {
	i, stranger := issuer.New(t), issuer.New(t)
	o := newOIDC(t, i, "repository=acme/*,ref=refs/heads/main", "repository=other/exact")
	now := time.Now()
	good := i.Token(t, audience, nil)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	segment := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	parts := strings.Split(good, ".")
	hmacToken, err := jwt.NewWithClaims(jwt.SigningMethodHS256, i.Claims(audience)).SignedString([]byte("public"))
	if err != nil {
		t.Fatal(err)
	}
	widened := i.Claims(audience)
	widened["repository"] = "acme/other"

	for _, tt := range []struct {
		name, token string
		want        error
		user        string
	}{
		{"good", good, nil, "oidc:" + i.URL + "#repo:acme/lamp:ref:refs/heads/main"},
		{"by the second rule", i.Token(t, audience, map[string]any{"repository": "other/exact", "ref": "x"}), nil, ""},
		{"for many audiences", i.Token(t, audience, map[string]any{"aud": []string{"x", audience}}), nil, ""},
		{"with a subject that breaks lines", i.Token(t, audience, map[string]any{"sub": "repo:acme/lamp:environment:the\nlab%"}), nil,
			"oidc:" + i.URL + "#repo:acme/lamp:environment:the%0Alab%25"},

		{"for another audience", i.Token(t, "https://other.example.org", nil), ErrUnknown, ""},
		{"for no audience", i.Token(t, audience, map[string]any{"aud": nil}), ErrUnknown, ""},
		{"of another issuer", stranger.Token(t, audience, nil), ErrUnknown, ""},
		{"of another issuer in our issuer's name", stranger.Token(t, audience, map[string]any{"iss": i.URL}), ErrUnknown, ""},
		{"by our issuer in another's name", i.Token(t, audience, map[string]any{"iss": stranger.URL}), ErrUnknown, ""},
		{"of no issuer", i.Token(t, audience, map[string]any{"iss": nil}), ErrUnknown, ""},
		{"expired", i.Token(t, audience, map[string]any{"exp": now.Add(-time.Second).Unix()}), ErrUnknown, ""},
		{"without expiry", i.Token(t, audience, map[string]any{"exp": nil}), ErrUnknown, ""},
		{"not yet valid", i.Token(t, audience, map[string]any{"nbf": now.Add(time.Hour).Unix()}), ErrUnknown, ""},
		{"without subject", i.Token(t, audience, map[string]any{"sub": nil}), ErrUnknown, ""},
		{"by a wrong key with a known kid", issuer.SignWith(t, key, "first", i.Claims(audience)), ErrUnknown, ""},
		{"by a wrong key without kid", issuer.SignWith(t, key, "", i.Claims(audience)), ErrUnknown, ""},
		{"alg none", segment(map[string]string{"alg": "none"}) + "." + parts[1] + ".", ErrUnknown, ""},
		{"alg none with a signature", segment(map[string]string{"alg": "none", "kid": "first"}) + "." + parts[1] + "." + parts[2], ErrUnknown, ""},
		{"HMAC", hmacToken, ErrUnknown, ""},
		{"widened", parts[0] + "." + segment(widened) + "." + parts[2], ErrUnknown, ""},
		{"cut", good[:len(good)-1], ErrUnknown, ""},
		{"no token", "..", ErrUnknown, ""},
		{"garbage", "a.b.c", ErrUnknown, ""},

		{"of another repository", i.Token(t, audience, map[string]any{"repository": "evil/lamp"}), ErrNotAllowed, ""},
		{"of another branch", i.Token(t, audience, map[string]any{"ref": "refs/heads/pr"}), ErrNotAllowed, ""},
		{"without the claim", i.Token(t, audience, map[string]any{"repository": nil}), ErrNotAllowed, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			user, err := o.Verify(t.Context(), tt.token, now)
			if !errors.Is(err, tt.want) || (err == nil) != (user != "") || tt.user != "" && user != tt.user {
				t.Errorf("%q, %v; want %q, %v", user, err, tt.user, tt.want)
			}
		})
	}
}

// The keys are fetched once, and again when a new one appears, but not for every
// made-up token.
func TestKeysAreCached(t *testing.T) {
	i := issuer.New(t)
	o := newOIDC(t, i, "repository=acme/*")
	verify := func() error {
		_, err := o.Verify(t.Context(), i.Token(t, audience, nil), time.Now())
		return err
	}
	for range 20 {
		if err := verify(); err != nil {
			t.Fatal(err)
		}
		awaitCache(t)
	}
	if n := i.Fetches.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times for 20 tokens", n)
	}
	i.Rotate(t, "second")
	if err := verify(); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if _, err := o.Verify(t.Context(), issuer.SignWith(t, key, "made-up", i.Claims(audience)), time.Now()); !errors.Is(err, ErrUnknown) {
			t.Fatal(err)
		}
	}
	if n := i.Fetches.Load(); n > 2+fetchBurst {
		t.Errorf("made-up tokens made the broker fetch the keys %d times", n)
	}
	if err := verify(); err != nil {
		t.Errorf("the flood locks an honest user out: %v", err)
	}
}

// awaitCache waits until fetched keys are in go-oidc's cache. It returns keys a
// moment before it caches them, and then neither uses them nor fetches others.
func awaitCache(t *testing.T) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if n := runtime.Stack(stacks, true); !bytes.Contains(stacks[:n], []byte("oidc.(*RemoteKeySet).keysFromRemote")) {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the keys are not in the cache after a minute")
		}
	}
}

func TestAnIssuerThatIsDown(t *testing.T) {
	i := issuer.New(t)
	o := newOIDC(t, i, "repository=acme/*")
	o.issuer.retry.SetBurst(10) // the test does not wait
	o.issuer.retry.SetLimit(1e6)
	token := i.Token(t, audience, nil)
	i.Down.Store(true)
	if _, err := o.Verify(t.Context(), token, time.Now()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("at the first token: %v", err)
	}
	i.Down.Store(false)
	if _, err := o.Verify(t.Context(), token, time.Now()); err != nil {
		t.Errorf("back again: %v", err)
	}
	awaitCache(t)
	i.Down.Store(true)
	if _, err := o.Verify(t.Context(), token, time.Now()); err != nil {
		t.Errorf("with cached keys: %v", err)
	}
	i.Rotate(t, "second")
	if _, err := o.Verify(t.Context(), i.Token(t, audience, nil), time.Now()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("with a new key that cannot be fetched: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.Verify(gone, i.Token(t, audience, nil), time.Now()); !errors.Is(err, context.Canceled) {
		t.Errorf("for a client that has hung up: %v", err)
	}
}

// REVIEW row 18: an unsigned token and a hang-up blocked the discovery for
// everybody for five seconds, and the mutex was held over the network.
func TestAHangUpDelaysNobody(t *testing.T) {
	i := issuer.New(t)
	o := newOIDC(t, i, "repository=acme/*")
	came, release := i.Hold()
	defer release()
	good := i.Token(t, audience, nil)
	parts := strings.Split(good, ".")
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
	verify := func(ctx context.Context, token string) <-chan error {
		done := make(chan error, 1)
		go func() {
			_, err := o.Verify(ctx, token, time.Now())
			done <- err
		}()
		return done
	}
	// Two clients hang up while the issuer does not answer: the one whose token
	// began the discovery, and one that waits for it.
	for _, token := range []string{unsigned, good} {
		ctx, hangUp := context.WithCancel(t.Context())
		done := verify(ctx, token)
		if token == unsigned {
			<-came
		}
		hangUp()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatalf("a client that hangs up waits: %v", err)
		}
	}
	honest := verify(t.Context(), good)
	release()
	if err := <-honest; err != nil {
		t.Errorf("an honest user after two hang-ups: %v", err)
	}
}

// While the issuer is down and the broker limits its requests, a token with a
// new key is not known to be wrong.
func TestAnIssuerThatIsDownStaysUnavailable(t *testing.T) {
	i := issuer.New(t)
	o := newOIDC(t, i, "repository=acme/*")
	if _, err := o.Verify(t.Context(), i.Token(t, audience, nil), time.Now()); err != nil {
		t.Fatal(err)
	}
	i.Down.Store(true)
	i.Rotate(t, "second")
	for n := range 3 * fetchBurst {
		awaitCache(t)
		if _, err := o.Verify(t.Context(), i.Token(t, audience, nil), time.Now()); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("token %d: %v", n, err)
		}
	}
}

// CASES: one key of an unknown kind made the broker refuse every token.
func TestUnknownKeysOfAnIssuerArePassedOver(t *testing.T) {
	for _, key := range []string{
		`{"kty":"EC","crv":"secp256k1","kid":"k","x":"AAAA","y":"AAAA"}`,
		`{"kty":"EC","crv":"secp256k1","alg":"ES256K","kid":"k","x":"AAAA","y":"AAAA"}`,
		`{"kty":"OKP","crv":"Ed448","kid":"k","x":"AAAA"}`,
		`{"kty":"AKP","alg":"ML-DSA-65","kid":"k","pub":"AAAA"}`,
		`{"kty":"AKP","kid":"k","pub":"AAAA"}`,
		`{"kty":"EC","crv":"P-256","kid":"k","x":"AAAA"}`,
		`{"kty":"EC","crv":"P-256","kid":"k","x":"AAAA","y":"AAAA"}`,
		`{"kty":"RSA","kid":"k","n":"","e":"AQAB"}`,
		`{"kty":"RSA","kid":"k","n":"AQAB","e":"AQAB","x5c":["AAAA"]}`,
		`{"kty":"oct","kid":"k","k":"AAAA"}`,
		`{"kid":"k"}`,
		`{"kty":7,"kid":"k"}`,
		`"k"`, `null`, `{}`,
	} {
		i := issuer.New(t)
		i.Publish(key)
		o := newOIDC(t, i, "repository=acme/*")
		if _, err := o.Verify(t.Context(), i.Token(t, audience, nil), time.Now()); err != nil {
			t.Errorf("beside %s: %v", key, err)
		}
	}
}

func FuzzUsableKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"secp256k1"},null,7]}`))
	f.Add([]byte(`{"issuer":"https://issuer.example.org"}`))
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		once := usableKeys(body)
		var set jose.JSONWebKeySet
		if bytes.Equal(once, body) {
			return
		}
		if err := json.Unmarshal(once, &set); err != nil {
			t.Errorf("%q became %q, %v", body, once, err)
		}
	})
}

func TestBadOIDCSettings(t *testing.T) {
	rule, err := ParseRule("repository=acme/*")
	if err != nil {
		t.Fatal(err)
	}
	for want, cfg := range map[string]OIDCConfig{
		"not an https URL": {Issuer: "http://issuer.example.org", Audience: "x", Allow: []Rule{rule}},
		"no audience":      {Issuer: "https://issuer.example.org", Allow: []Rule{rule}},
		"no rule":          {Issuer: "https://issuer.example.org", Audience: "x"},
	} {
		if _, err := NewOIDC(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
	if o, err := NewOIDC(OIDCConfig{Issuer: "https://issuer.example.org", Audience: "x", Allow: []Rule{rule}}); err != nil || o.client.Timeout == 0 {
		t.Errorf("the default client has no timeout: %v", err)
	}
}
