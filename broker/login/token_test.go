package login

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
)

var testTokens = Tokens{Secret: bytes.Repeat([]byte{7}, 32), Origin: "https://broker.example.org"}

const testFingerprint = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func FuzzBearer(f *testing.F) {
	for _, s := range []string{"", "Bearer", "Bearer ", "bearer a.b-c", "Bearer  x", "Basic x", "Bearer x y", "Bearer x,y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		token, err := Bearer([]string{header})
		if err == nil && (token == "" || strings.ContainsAny(token, " \t,") || !strings.HasSuffix(header, token)) {
			t.Errorf("%q gives %q", header, token)
		}
		refused, ok := errors.AsType[*Error](err)
		if err != nil && (!ok || refused.Kind != NoToken) {
			t.Errorf("%q: %v", header, err)
		}
	})
}

// A session token is valid in exactly one spelling.
func FuzzSession(f *testing.F) {
	now := time.Unix(1_000_000, 0)
	valid, err := testTokens.Session(testFingerprint, now.Add(time.Minute))
	if err != nil {
		f.Fatal(err)
	}
	if fp, err := testTokens.CheckSession(valid, now); err != nil || fp != testFingerprint {
		f.Fatal(fp, err)
	}
	f.Add(valid)
	f.Add(valid[:len(valid)-1])
	f.Add(valid + "\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := testTokens.CheckSession(token, now); err == nil && token != valid {
			t.Errorf("%q was accepted beside %q", token, valid)
		}
		if fresh := testTokens.Renew(token, testFingerprint, now); fresh != "" {
			if fp, err := testTokens.CheckSession(fresh, now.Add(api.SessionLife-time.Second)); err != nil || fp != testFingerprint {
				t.Errorf("%q became %q, %v", token, fresh, err)
			}
		}
	})
}

func FuzzChallenge(f *testing.F) {
	now := time.Unix(1_000_000, 0)
	nonce := make([]byte, api.NonceSize)
	// The random part is replaced, because each fuzzing process makes its own.
	valid := testTokens.Challenge(nonce, testFingerprint, now.Add(time.Minute))[:expirySize+randomSize]
	clear(valid[expirySize:])
	valid = append(valid, testTokens.mac(challengeDomain, valid, nonce, []byte(testFingerprint))...)
	if err := testTokens.CheckChallenge(valid, nonce, testFingerprint, now); err != nil {
		f.Fatal(err)
	}
	f.Add(valid, nonce, testFingerprint)
	f.Add(valid, nonce, "")
	f.Add(valid[1:], nonce, testFingerprint)
	f.Add([]byte{}, []byte{}, "")
	f.Fuzz(func(t *testing.T, challenge, n []byte, fp string) {
		err := testTokens.CheckChallenge(challenge, n, fp, now)
		same := bytes.Equal(challenge, valid) && bytes.Equal(n, nonce) && fp == testFingerprint
		if (err == nil) != same {
			t.Errorf("%x, %x, %q: %v", challenge, n, fp, err)
		}
	})
}

func TestRedeemedChallengesAreNeverForgottenEarly(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	challenge := func(expires time.Time) []byte {
		return testTokens.Challenge(make([]byte, api.NonceSize), testFingerprint, expires)
	}
	r := newRedeemed(3)
	first := challenge(now.Add(10 * time.Second))
	for i, c := range [][]byte{first, challenge(now.Add(10 * time.Second)), challenge(now.Add(20 * time.Second))} {
		if got := r.redeem(c, now); got != redeemedNow {
			t.Errorf("challenge %d: %v", i, got)
		}
	}
	if got := r.redeem(challenge(now.Add(30*time.Second)), now); got != memoryFull {
		t.Errorf("a full memory: %v", got)
	}
	if got := r.redeem(first, now.Add(9*time.Second)); got != redeemedBefore {
		t.Errorf("again, while the memory is full: %v", got)
	}
	for i := range 2 { // the first two have expired
		if got := r.redeem(challenge(now.Add(40*time.Second)), now.Add(10*time.Second)); got != redeemedNow {
			t.Errorf("challenge %d after some have expired: %v", i, got)
		}
	}
	if got := r.redeem(challenge(now.Add(40*time.Second)), now.Add(11*time.Second)); got != memoryFull || r.n != 3 {
		t.Errorf("full again: %v, %d", got, r.n)
	}
}
