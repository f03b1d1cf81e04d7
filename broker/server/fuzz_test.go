package server

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/farforge/farforge/common/api"
)

// FuzzBodies: every body is either refused with 400 or valid, and a valid one is
// the same after it is encoded and decoded again.
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
			t.Errorf("scrubbing twice changes %q", once)
		}
	})
}
