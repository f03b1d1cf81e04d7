package grant

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
)

// published writes a broker's document and reads it back.
func published(t *testing.T, keys *KeySet, rotations ...string) *Published {
	t.Helper()
	data, err := json.Marshal(&Published{Keys: keys, Rotations: rotations})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseJWKS(data); err != nil {
		t.Fatalf("a reader without rotations cannot read the set: %v", err)
	}
	p, err := ParsePublished(data)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPinnedKeyLeadsToItsSuccessors(t *testing.T) {
	a, b, c, evil := newSigner(t), newSigner(t), newSigner(t), newSigner(t)
	rotate := func(from, to *Signer) string {
		token, err := from.SignRotation(to.Public(), "https://b", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	ab, bc, evilC := rotate(a, b), rotate(b, c), rotate(evil, c)
	pinned := NewKeySet(a.Public())
	grant, _ := a.Sign(sample(time.Now()))

	tests := []struct {
		name string
		p    *Published
		want []*Signer
	}{
		{"no rotation", published(t, NewKeySet(a.Public())), []*Signer{a}},
		{"overlap", published(t, NewKeySet(a.Public(), b.Public()), ab), []*Signer{a, b}},
		{"the old one is gone", published(t, NewKeySet(b.Public()), ab), []*Signer{b}},
		{"two steps", published(t, NewKeySet(c.Public()), ab, bc), []*Signer{c}},
		{"a key without a rotation is left out", published(t, NewKeySet(a.Public(), evil.Public())), []*Signer{a}},
		{"another broker's keys", published(t, NewKeySet(evil.Public())), nil},
		{"a rotation by a stranger", published(t, NewKeySet(c.Public()), evilC), nil},
		{"a chain with a gap", published(t, NewKeySet(c.Public()), bc), nil},
		{"a grant is not a rotation", published(t, NewKeySet(b.Public()), grant), nil},
		{"garbage", published(t, NewKeySet(b.Public()), "x.y.z"), nil},
	}
	for _, tt := range tests {
		got, err := pinned.Follow(tt.p)
		if tt.want == nil {
			if !errors.Is(err, ErrSignature) {
				t.Errorf("%s: %v, %v", tt.name, got, err)
			}
			continue
		}
		if err != nil || len(got.Keys()) != len(tt.want) {
			t.Errorf("%s: %v, %v", tt.name, got, err)
			continue
		}
		for i, s := range tt.want {
			if !got.Keys()[i].Equal(s.Public()) {
				t.Errorf("%s: key %d is another", tt.name, i)
			}
		}
	}
	// A rotation does not pass for a grant.
	if _, err := pinned.Verify(ab, time.Now(), 0); !errors.Is(err, ErrMalformed) {
		t.Errorf("a rotation passed for a grant: %v", err)
	}
}

func FuzzParsePublished(f *testing.F) {
	data, _ := json.Marshal(&Published{Keys: NewKeySet(newSigner(f).Public()), Rotations: []string{"x"}})
	f.Add(data)
	pinned := NewKeySet(newSigner(f).Public())
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := ParsePublished(data); err == nil {
			if keys, err := pinned.Follow(p); err == nil {
				t.Fatalf("strangers' keys were followed: %v", keys.KeyIDs())
			}
		}
	})
}
