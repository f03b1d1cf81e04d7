package grant

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func newSigner(t testing.TB) *Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return NewSigner(key)
}

func sample(now time.Time) *Grant {
	now = now.UTC().Truncate(time.Second)
	return &Grant{
		Issuer: "https://broker.example.org", Subject: "anonymous", JobID: "01J",
		IssuedAt: now, ExpiresAt: now.Add(30 * time.Second),
		PeerFingerprint: Fingerprint([]byte("certificate")),
		Agents:          []string{"SHA256:a", "SHA256:b"}, Channels: []string{"espctl", "source"},
		CPUCores: 2, MemoryMB: 512, SessionSecs: 600, Target: "esp32c3", Toolchain: "gcc@12",
		MaxBandwidthKbps: 1000, MaxMessageRate: 50, Project: "p",
	}
}

func TestGrantGoesThereAndBack(t *testing.T) {
	now := time.Now()
	s, want := newSigner(t), sample(now)
	token, err := s.Sign(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := NewKeySet(s.Public()).Verify(token, now, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v\nwant %+v", got, want)
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	now := time.Now()
	s, other := newSigner(t), newSigner(t)
	keys := NewKeySet(s.Public())
	good, err := s.Sign(sample(now))
	if err != nil {
		t.Fatal(err)
	}
	foreign, _ := other.Sign(sample(now))

	// forge signs arbitrary headers and claims with a method of its choice.
	forge := func(method jwt.SigningMethod, key any, edit func(*jwt.Token, jwt.MapClaims)) string {
		var c jwt.MapClaims
		parsed, _, err := jwt.NewParser().ParseUnverified(good, jwt.MapClaims{})
		if err != nil {
			t.Fatal(err)
		}
		c = parsed.Claims.(jwt.MapClaims)
		token := jwt.NewWithClaims(method, c)
		token.Header["typ"], token.Header["kid"] = Type, KeyID(s.Public())
		edit(token, c)
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	none := func(*jwt.Token, jwt.MapClaims) {}
	without := func(claim string) func(*jwt.Token, jwt.MapClaims) {
		return func(_ *jwt.Token, c jwt.MapClaims) { delete(c, claim) }
	}
	parts := strings.Split(good, ".")
	tests := []struct {
		name, token string
		now         time.Time
		want        error
	}{
		{"alg none", forge(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, none), now, ErrSignature},
		{"HMAC with the public key", forge(jwt.SigningMethodHS256, []byte(s.Public()), none), now, ErrSignature},
		{"foreign key", foreign, now, ErrSignature},
		{"foreign key under our id", forge(jwt.SigningMethodEdDSA, other.key, none), now, ErrSignature},
		{"another kind of token", forge(jwt.SigningMethodEdDSA, s.key, func(t *jwt.Token, _ jwt.MapClaims) { t.Header["typ"] = "JWT" }), now, ErrMalformed},
		{"expired", good, now.Add(31 * time.Second), ErrExpired},
		{"from the future", good, now.Add(-time.Minute), ErrNotYetValid},
		{"no expiry", forge(jwt.SigningMethodEdDSA, s.key, without("exp")), now, ErrMalformed},
		{"no audience", forge(jwt.SigningMethodEdDSA, s.key, without("aud")), now, ErrMalformed},
		{"no certificate", forge(jwt.SigningMethodEdDSA, s.key, without("cnf")), now, ErrMalformed},
		{"no channels", forge(jwt.SigningMethodEdDSA, s.key, without("channels")), now, ErrMalformed},
		{"no job", forge(jwt.SigningMethodEdDSA, s.key, without("jti")), now, ErrMalformed},
		{"empty", "", now, ErrMalformed},
		{"two parts", parts[0] + "." + parts[1], now, ErrMalformed},
	}
	for _, tt := range tests {
		if _, err := keys.Verify(tt.token, tt.now, 0); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestAnyFlippedBitIsRefused(t *testing.T) {
	now := time.Now()
	s := newSigner(t)
	keys := NewKeySet(s.Public())
	token, _ := s.Sign(sample(now))
	for i := range token {
		for bit := range 7 {
			spoiled := []byte(token)
			spoiled[i] ^= 1 << bit
			if _, err := keys.Verify(string(spoiled), now, 0); err == nil {
				t.Fatalf("bit %d of byte %d flipped, still accepted", bit, i)
			}
		}
	}
}

func TestChecks(t *testing.T) {
	g := sample(time.Now())
	for _, tt := range []struct {
		name      string
		got, want error
	}{
		{"own agent", g.CheckAudience("SHA256:b"), nil},
		{"foreign agent", g.CheckAudience("SHA256:c"), ErrAudience},
		{"own certificate", g.CheckFingerprint(strings.ToLower(Fingerprint([]byte("certificate")))), nil},
		{"foreign certificate", g.CheckFingerprint(Fingerprint([]byte("x"))), ErrFingerprint},
		{"granted channel", g.CheckChannel("source"), nil},
		{"ungranted channel", g.CheckChannel("pty"), ErrChannel},
	} {
		if !errors.Is(tt.got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, tt.got, tt.want)
		}
	}
}

func TestJWKS(t *testing.T) {
	a, b := newSigner(t), newSigner(t)
	data, err := json.Marshal(NewKeySet(a.Public(), b.Public(), a.Public()))
	if err != nil {
		t.Fatal(err)
	}
	set, err := ParseJWKS(data)
	if err != nil || len(set.Keys()) != 2 || !set.Keys()[1].Equal(b.Public()) {
		t.Fatalf("got %v, %v", set, err)
	}
	for name, text := range map[string]string{
		"none":     `{"keys":[{"kty":"RSA"}]}`,
		"short":    `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA","kid":"x"}]}`,
		"wrong id": strings.Replace(string(data), KeyID(a.Public()), KeyID(b.Public()), 1),
		"no JSON":  `keys`,
	} {
		if _, err := ParseJWKS([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestKeyIDVector is the thumbprint that RFC 8037, appendix A.3, gives.
func TestKeyIDVector(t *testing.T) {
	key := ed25519.NewKeyFromSeed([]byte{
		0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
		0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
	})
	if got, want := KeyID(key.Public().(ed25519.PublicKey)), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

func FuzzVerify(f *testing.F) {
	now := time.Now()
	s := newSigner(f)
	keys := NewKeySet(s.Public())
	token, _ := s.Sign(sample(now))
	f.Add(token)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		if g, err := keys.Verify(text, now, 0); err == nil && text != token {
			t.Fatalf("accepted %q as %+v", text, g)
		}
	})
}

func FuzzParseJWKS(f *testing.F) {
	data, _ := json.Marshal(NewKeySet(newSigner(f).Public()))
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if set, err := ParseJWKS(data); err == nil && len(set.Keys()) == 0 {
			t.Fatal("an empty set was accepted")
		}
	})
}
