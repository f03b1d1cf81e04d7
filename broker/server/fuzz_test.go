package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
)

var testSealer = sealer{secret: bytes.Repeat([]byte{7}, 32), origin: "https://broker.example.org"}

const testFingerprint = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func FuzzBearer(f *testing.F) {
	for _, s := range []string{"", "Bearer", "Bearer ", "bearer a.b-c", "Bearer  x", "Basic x", "Bearer x y", "Bearer x,y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Authorization", header)
		token, err := bearer(r)
		if err == nil && (token == "" || strings.ContainsAny(token, " \t,") || !strings.HasSuffix(header, token)) {
			t.Errorf("%q gives %q", header, token)
		}
		var p *api.Problem
		if err != nil && (!errors.As(err, &p) || p.Status != 401) {
			t.Errorf("%q: %v", header, err)
		}
	})
}

// A session token is good in exactly one spelling.
func FuzzSession(f *testing.F) {
	now := time.Unix(1_000_000, 0)
	good, err := testSealer.session(testFingerprint, now.Add(time.Minute))
	if err != nil {
		f.Fatal(err)
	}
	if fp, err := testSealer.openSession(good, now); err != nil || fp != testFingerprint {
		f.Fatal(fp, err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(good + "\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := testSealer.openSession(token, now); err == nil && token != good {
			t.Errorf("%q was accepted beside %q", token, good)
		}
		// What is renewed is long; see TestThePollRenewsTheSession for its truth.
		if fresh := testSealer.renew(token, testFingerprint, now); fresh != "" {
			if fp, err := testSealer.openSession(fresh, now.Add(api.SessionLife-time.Second)); err != nil || fp != testFingerprint {
				t.Errorf("%q became %q, %v", token, fresh, err)
			}
		}
	})
}

func FuzzChallenge(f *testing.F) {
	now := time.Unix(1_000_000, 0)
	nonce := make([]byte, api.NonceSize)
	// Its random part is replaced, as each fuzzing process makes its own.
	good := testSealer.challenge(nonce, testFingerprint, now.Add(time.Minute))[:expirySize+randomSize]
	clear(good[expirySize:])
	good = append(good, testSealer.mac(challengeDomain, good, nonce, []byte(testFingerprint))...)
	if err := testSealer.openChallenge(good, nonce, testFingerprint, now); err != nil {
		f.Fatal(err)
	}
	f.Add(good, nonce, testFingerprint)
	f.Add(good, nonce, "")
	f.Add(good[1:], nonce, testFingerprint)
	f.Add([]byte{}, []byte{}, "")
	f.Fuzz(func(t *testing.T, challenge, n []byte, fp string) {
		err := testSealer.openChallenge(challenge, n, fp, now)
		same := bytes.Equal(challenge, good) && bytes.Equal(n, nonce) && fp == testFingerprint
		if (err == nil) != same {
			t.Errorf("%x, %x, %q: %v", challenge, n, fp, err)
		}
	})
}

// Every body is either refused with 400 or valid, and a valid one survives
// being written and read again.
func FuzzBodies(f *testing.F) {
	kinds := []func() any{
		func() any { return new(api.GrantRequest) }, func() any { return new(api.HelloRequest) },
		func() any { return new(api.SessionRequest) }, func() any { return new(api.Status) },
		func() any { return new(api.Report) }, func() any { return new(api.AddAgent) },
		func() any { return new(api.Confirmation) },
	}
	status, _ := json.Marshal(idleStatus())
	request, _ := json.Marshal(grantRequest())
	for i, s := range []string{string(request), `{"nonce":"AA=="}`, `{"challenge":null}`, string(status), `{"outcome":"lost"}`, `{}`, `{"agent":"SHA256:x","outcome":"lost","duration_ms":1}`, `{}{}`, `null`, `{"nonce":1}`} {
		f.Add(uint8(i%len(kinds)), []byte(s))
	}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		make := kinds[int(kind)%len(kinds)]
		v := make()
		if err := decodeJSON(body, v); err != nil {
			var p *api.Problem
			if !errors.As(err, &p) || p.Status != 400 || p.Code != api.CodeMalformed {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		again := make()
		if err := decodeJSON(data, again); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		twice, err := json.Marshal(again)
		if err != nil || !reflect.DeepEqual(data, twice) {
			t.Errorf("%s became %s, %v", data, twice, err)
		}
	})
}

func FuzzScrub(f *testing.F) {
	f.Add("from 192.0.2.1:443 and [2001:db8::1]:80")
	f.Fuzz(func(t *testing.T, s string) {
		if once := scrub(s); scrub(once) != once {
			t.Errorf("%q is scrubbed further at the second time", once)
		}
	})
}
