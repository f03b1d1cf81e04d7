//go:build unix

package session

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/farforge/farforge/common/grant"
)

// TestFollowsARotationWithoutRestart rotates the broker's key while the agent
// runs, and tries the same as an impostor.
func TestFollowsARotationWithoutRestart(t *testing.T) {
	dir := t.TempDir()
	var published atomic.Pointer[grant.Published]
	pinned := func(ctx context.Context) (*grant.KeySet, error) {
		return PinnedKeys(ctx, dir, brokerName, func(context.Context) (*grant.Published, error) { return published.Load(), nil }, nil)
	}
	w := newWorld(t, func(c *Config) {
		published.Store(&grant.Published{Keys: c.Keys})
		c.Refetch = pinned
		if _, err := pinned(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	cert := newCertificate(t)
	offer := newOffer(t, cert)
	old, next, impostor := w.signer, newSigner(t), newSigner(t)

	// No pinned key vouches for it: the pinned keys stay.
	w.signer = impostor
	published.Store(&grant.Published{Keys: grant.NewKeySet(impostor.Public())})
	job := w.job(w.grant(cert), plain(t, offer).Body)
	if _, err := w.host.Admit(job); !errors.Is(err, ErrUnknownKey) {
		t.Fatalf("an impostor's grant: %v", err)
	}
	var change *KeyChange
	if err := w.host.RefreshKeys(t.Context()); !errors.As(err, &change) {
		t.Errorf("following an impostor: %v", err)
	}
	if _, err := w.host.Admit(job); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("an impostor's grant, after fetching its keys: %v", err)
	}

	w.host.trust.fetched = time.Time{} // a while later
	rotation, err := old.SignRotation(next.Public(), brokerName, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	published.Store(&grant.Published{Keys: grant.NewKeySet(old.Public(), next.Public()), Rotations: []string{rotation}})
	w.signer = next
	job = w.job(w.grant(cert), plain(t, offer).Body)
	if _, err := w.host.Admit(job); !errors.Is(err, ErrUnknownKey) {
		t.Fatalf("a new key's grant: %v", err)
	}
	if err := w.host.RefreshKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.host.Admit(job); err != nil {
		t.Errorf("a new key's grant, after fetching the keys: %v", err)
	}
	w.signer = old
	if _, err := w.host.Admit(w.job(w.grant(cert), plain(t, offer).Body)); err != nil {
		t.Errorf("the old key's grant, while it is published: %v", err)
	}
}

func TestFetchesOfKeysAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetched := 0
		h, err := NewHost(Config{Keys: grant.NewKeySet(), Refetch: func(context.Context) (*grant.KeySet, error) {
			fetched++
			return grant.NewKeySet(), nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		for range 100 { // over ten seconds
			if err := h.RefreshKeys(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if fetched != 2 {
			t.Errorf("fetched %d times", fetched)
		}
	})
}

// FuzzKeyID reads the key id as the library that verifies the token does.
func FuzzKeyID(f *testing.F) {
	f.Add("eyJhbGciOiJFZERTQSIsImtpZCI6ImEifQ.e30.c2ln")
	f.Add("eyJraWQiOjF9.e30.")
	f.Add("eyJraWQiOiJhIiwiS0lEIjoiYiJ9.e30.") // {"kid":"a","KID":"b"}
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		got := keyID(token)
		parsed, _, err := jwt.NewParser(jwt.WithStrictDecoding()).ParseUnverified(token, jwt.MapClaims{})
		if err != nil {
			return // the agent does not look for a key then
		}
		if want, ok := parsed.Header["kid"].(string); ok && got != want {
			t.Errorf("%q: got %q, want %q", token, got, want)
		}
	})
}
