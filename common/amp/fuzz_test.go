package amp

import (
	"encoding/base64"
	"reflect"
	"strings"
	"testing"
)

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
func base64std(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func mustPack(t testing.TB, v any) []byte {
	t.Helper()
	packed, err := pack(v)
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// FuzzDecodePath: a path that decodes has a valid request, which encodes again.
func FuzzDecodePath(f *testing.F) {
	f.Add("/amp/0AAAAAAAAAAAA/")
	f.Add("/")
	path, err := EncodePath(&Request{Method: "POST", Target: "/grant/request?wait=2", Authorization: "Bearer t", Body: []byte("{}")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(path)
	f.Fuzz(func(t *testing.T, path string) {
		r, err := DecodePath(path)
		if err != nil {
			return
		}
		if strings.ContainsAny(r.Target+r.Authorization+r.ContentType, "\r\n\x00") {
			t.Fatalf("smuggled: %+v", r)
		}
		again, err := EncodePath(r)
		if err != nil {
			return // it deflates worse than the input, and is too long now
		}
		if back, err := DecodePath(again); err != nil || !reflect.DeepEqual(back, r) {
			t.Fatalf("%+v became %+v, %v", r, back, err)
		}
	})
}

// FuzzDecodePage: a page that decodes encodes again to the same response.
func FuzzDecodePage(f *testing.F) {
	page, err := EncodePage(&Response{Status: 202, RetryAfter: "1", ContentType: "application/json", Body: []byte("{}")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(page)
	f.Add([]byte("<pre>0</pre>"))
	f.Add([]byte("<pre>0<pre></pre>"))
	f.Fuzz(func(t *testing.T, page []byte) {
		r, err := DecodePage(page)
		if err != nil {
			return
		}
		again, err := EncodePage(r)
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		if back, err := DecodePage(again); err != nil || !reflect.DeepEqual(back, r) {
			t.Fatalf("%+v became %+v, %v", r, back, err)
		}
	})
}
