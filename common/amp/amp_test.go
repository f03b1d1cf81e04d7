package amp

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func TestPathsAndPagesComeBack(t *testing.T) {
	for _, r := range []*Request{
		{Method: "GET", Target: "/health"},
		{Method: "POST", Target: "/signaling/J/offer?wait=2", Authorization: "Bearer x.y.z", ContentType: "application/octet-stream", Body: []byte{0, 1, 0xff}},
		{Method: "POST", Target: "/grant/request", Body: bytes.Repeat([]byte("a"), 60<<10)},
	} {
		path, err := EncodePath(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodePath(path)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%+v became %+v, %v", r, got, err)
		}
		again, err := EncodePath(r)
		if err != nil || again == path {
			t.Errorf("the same path twice: a cache would answer the second (%v)", err)
		}
		for part := range strings.SplitSeq(path, "/") {
			if len(part) > segment {
				t.Errorf("a segment of %d characters", len(part))
			}
		}
	}
	for _, r := range []*Response{
		{Status: 204},
		{Status: 503, ContentType: "application/problem+json", RetryAfter: "2", Link: `</agents?after=x>; rel="next"`, Date: "Thu, 01 Jan 1970 00:00:00 GMT", Body: []byte(`{"code":"no_agent"}`)},
		{Status: 200, Body: noise(t, 64<<10)},
	} {
		page, err := EncodePage(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodePage(page)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("a response of %d bytes became %+v, %v", len(r.Body), got, err)
		}
	}
}

func noise(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRequestsThatDoNotFit(t *testing.T) {
	var long *TooLong
	if _, err := EncodePath(&Request{Method: "POST", Target: "/x", Body: noise(t, 6<<10)}); !errors.As(err, &long) {
		t.Errorf("6 KiB of noise: %v", err)
	}
	// doc/reach.md states this size.
	if _, err := EncodePath(&Request{Method: "POST", Target: "/signaling/01JD3V5Q2M8X4Y7Z9A0B1C2D3E/offer?wait=2", Authorization: "Bearer " + strings.Repeat("x", 900), Body: noise(t, 5000)}); err != nil {
		t.Errorf("an offer of 5000 bytes: %v", err)
	}
	if _, err := DecodePath(Prefix + strings.Repeat("A", MaxPath)); !errors.As(err, &long) {
		t.Errorf("a long path: %v", err)
	}
}

func TestPathsThatAreRefused(t *testing.T) {
	raw := func(r *Request) string { // without the check
		t.Helper()
		packed, err := pack(r)
		if err != nil {
			t.Fatal(err)
		}
		return Prefix + version + strings.Repeat("n", nonceLength) + "/" + base64url(packed)
	}
	good := raw(&Request{Method: "GET", Target: "/health"})
	if _, err := DecodePath(good); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"another prefix":     "/apm" + good[4:],
		"another version":    strings.Replace(good, "/amp/0", "/amp/1", 1),
		"no nonce":           Prefix + version + "/" + good[strings.LastIndex(good, "/")+1:],
		"nothing":            Prefix,
		"cut off":            good[:len(good)-4],
		"padding":            good + "==",
		"a bomb":             raw(&Request{Method: "POST", Target: "/x", Body: make([]byte, 2*MaxMessage)}),
		"smuggled header":    raw(&Request{Method: "GET", Target: "/x", Authorization: "Bearer x\r\nX-Forwarded-For: y"}),
		"smuggled type":      raw(&Request{Method: "GET", Target: "/x", ContentType: "a\nb"}),
		"smuggled request":   raw(&Request{Method: "GET", Target: "/x HTTP/1.1\r\nHost: y"}),
		"another method":     raw(&Request{Method: "DELETE", Target: "/services/agents"}),
		"another host":       raw(&Request{Method: "GET", Target: "//evil.example/x"}),
		"a URL":              raw(&Request{Method: "GET", Target: "http://evil.example/x"}),
		"no path":            raw(&Request{Method: "GET", Target: "*"}),
		"a fragment":         raw(&Request{Method: "GET", Target: "/x#y"}),
		"outside of ASCII":   raw(&Request{Method: "GET", Target: "/ü"}),
		"something behind":   Prefix + version + strings.Repeat("n", nonceLength) + "/" + base64url(append(mustPack(t, &Request{Method: "GET", Target: "/x"}), 'x')),
		"not deflated":       Prefix + version + strings.Repeat("n", nonceLength) + "/" + base64url([]byte(`{"m":"GET","t":"/x"}`)),
		"not JSON":           Prefix + version + strings.Repeat("n", nonceLength) + "/" + base64url(mustPack(t, "x")),
		"unfinished base 64": good[:len(good)-1],
	} {
		if r, err := DecodePath(path); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestPagesThatAreRefused(t *testing.T) {
	page, err := EncodePage(&Response{Status: 200, Body: noise(t, 4000)})
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for name, page := range map[string]string{
		"nothing":           "",
		"another page":      "<html><body><p>hello</p></body></html>",
		"cut off":           text[:len(text)/2],
		"no end of element": strings.Replace(text, "</pre>", "", 1),
		"a bit":             strings.Replace(text, "<pre>\n0", "<pre>\n1", 1),
		"a letter missing":  strings.Replace(text, "\n</pre>", "", 1)[:len(text)-200] + "</pre>",
		"endless":           text + strings.Repeat(" ", MaxPage),
		"a bad status":      "<pre>" + version + base64std(mustPack(t, &Response{Status: 99})) + "</pre>",
		"a smuggled header": "<pre>" + version + base64std(mustPack(t, &Response{Status: 200, RetryAfter: "1\r\nX: y"})) + "</pre>",
		"a smuggled link":   "<pre>" + version + base64std(mustPack(t, &Response{Status: 200, Link: "<x>\nX: y"})) + "</pre>",
	} {
		if r, err := DecodePage([]byte(page)); err == nil {
			t.Errorf("%s: status %d, %d bytes", name, r.Status, len(r.Body))
		}
	}
}

// TestPagesSurviveACache: caches rewrite pages; see
// https://github.com/ampproject/amphtml/blob/main/docs/spec/amp-cache-modifications.md.
func TestPagesSurviveACache(t *testing.T) {
	want := &Response{Status: 200, ContentType: "application/json", Body: noise(t, 30_000)}
	page, err := EncodePage(want)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer(
		"<pre>", `<pre class="i-amphtml-x" data-x='</pre>'>`, "</pre>", "</PRE>",
		"\n", " \r\n\t", "<body>", "<body><!-- <pre>0AAAA</pre> --><script>'<pre>x'</script>",
		"0s 1 normal", "0s  1 normal",
	).Replace(string(page))
	got, err := DecodePage([]byte(changed))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v", err)
	}
}

func TestCacheURLs(t *testing.T) {
	for page, want := range map[string]string{
		"https://example.com/amp/0x/y": "https://example-com.cdn.ampproject.org/v/s/example.com/amp/0x/y",
		"http://example.com/a":         "https://example-com.cdn.ampproject.org/v/example.com/a",
		"https://foo.example.com/x":    "https://foo-example-com.cdn.ampproject.org/v/s/foo.example.com/x",
		"https://foo-bar.example/x":    "https://foo--bar-example.cdn.ampproject.org/v/s/foo-bar.example/x",
		"https://a-b.example/x":        "https://a--b-example.cdn.ampproject.org/v/s/a-b.example/x",
		"https://en-us.example.com/x":  "https://0-en--us-example-com-0.cdn.ampproject.org/v/s/en-us.example.com/x",
		"https://example.com:8443/x":   "https://example-com.cdn.ampproject.org/v/s/example.com:8443/x",
	} {
		got, err := CacheURL(parse(t, "https://cdn.ampproject.org/"), parse(t, page))
		if err != nil || got.String() != want {
			t.Errorf("%s: %v, %v; want %s", page, got, err, want)
		}
	}
	for _, host := range []string{"localhost", "[::1]", strings.Repeat("a", 60) + ".example.org"} {
		got, err := CacheURL(parse(t, "https://cdn.example/"), parse(t, "https://"+host+"/x"))
		if err != nil {
			t.Fatal(err)
		}
		label, _, _ := strings.Cut(got.Host, ".")
		if len(label) != 52 || strings.ToLower(label) != label || strings.ContainsAny(label, "018[:") {
			t.Errorf("%s: the label %q is not a hash in base 32", host, label)
		}
	}
}

func parse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestResponsesLookLikeOthers(t *testing.T) {
	r := (&Response{Status: 429, RetryAfter: "3", Body: []byte("x")}).http(nil)
	if r.StatusCode != 429 || r.Status != "429 Too Many Requests" || r.Header.Get("Retry-After") != "3" || r.Header["Content-Type"] != nil {
		t.Errorf("%+v", r)
	}
}
