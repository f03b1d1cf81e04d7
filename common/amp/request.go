// Package amp carries requests to a broker through an AMP cache.
//
// An AMP cache fetches pages from anywhere and serves them from its own, widely
// used address. It forwards only a GET with a URL, and returns only a page of AMP
// HTML. So a request travels in the path of a URL, and the response in the text of
// a page:
//
//	client                        cache                        broker
//	  │ GET https://CACHE/v/s/BROKER/amp/0…/…                     │
//	  │ SNI: CACHE                  │ GET https://BROKER/amp/0…/… │
//	  │ ───────────────────────────▶│ ───────────────────────────▶│ the request in it is
//	  │                             │                             │ answered like any other
//	  │◀────────────────────────────│◀── 200, AMP HTML ───────────│
//
// The path ([EncodePath]) has a version, the [Request], and a nonce, which makes it
// new to every cache. The page ([EncodePage]) has the [Response], also for an
// error, because a cache forwards no page with another status than 200. The form
// of the cache's URLs ([CacheURL]) is that of
// https://amp.dev/documentation/guides-and-tutorials/learn/amp-caches-and-cors/amp-cache-urls/.
//
// A cache cannot carry requests longer than [MaxPath], waits longer than its own
// time-out (a few seconds), or streams. It sees all that a CDN sees, bearer tokens
// too.
package amp

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// MaxMessage bounds a request or a response before it is encoded, in bytes: the
// largest body as base64 within JSON, with room for the rest.
const MaxMessage = 112 << 10

// Request is the request in a path. Other headers than these cannot be sent
// through a cache.
type Request struct {
	Method string `json:"m"`
	// Target is the path with its query.
	Target        string `json:"t"`
	Authorization string `json:"a,omitempty"`
	ContentType   string `json:"c,omitempty"`
	Body          []byte `json:"b,omitempty"`
}

// Response is the response in a page.
type Response struct {
	Status      int    `json:"s"`
	ContentType string `json:"c,omitempty"`
	RetryAfter  string `json:"r,omitempty"`
	// Link leads to the next page of a list (RFC 8288).
	Link string `json:"l,omitempty"`
	// Date is the broker's time in the form of the header of that name; the cache's
	// own header has the cache's time.
	Date string `json:"d,omitempty"`
	Body []byte `json:"b,omitempty"`
}

// validate refuses a request that would not be exactly one HTTP request.
func (r *Request) validate() error {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		return fmt.Errorf("the method %q is neither GET nor POST", r.Method)
	case !strings.HasPrefix(r.Target, "/") || strings.HasPrefix(r.Target, "//"):
		return errors.New("the target is not a path")
	case strings.ContainsFunc(r.Target, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '#' }):
		return errors.New("the target has characters that a request line cannot have")
	case !headerValue(r.Authorization) || !headerValue(r.ContentType):
		return errors.New("a header has characters that headers cannot have")
	}
	return nil
}

func (r *Response) validate() error {
	switch {
	case r.Status < 200 || r.Status > 599:
		return fmt.Errorf("%d is not an HTTP status", r.Status)
	case !headerValue(r.ContentType) || !headerValue(r.RetryAfter) || !headerValue(r.Link) || !headerValue(r.Date):
		return errors.New("a header has characters that headers cannot have")
	}
	return nil
}

// headerValue reports whether a text is a field value in ASCII (RFC 9110, section
// 5.5).
func headerValue(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c != '\t' && c < ' ' || c >= 0x7f })
}

// pack returns the JSON of a value, deflated (RFC 1951). Most of a request is
// base64, which deflating shortens by a quarter.
func pack(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func unpack(data []byte, v interface{ validate() error }) error {
	in := bytes.NewReader(data)
	r := flate.NewReader(in)
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, MaxMessage+1))
	switch {
	case err != nil:
		return fmt.Errorf("it does not inflate: %w", err)
	case len(text) > MaxMessage:
		return fmt.Errorf("it is longer than %d bytes", MaxMessage)
	case in.Len() > 0:
		return errors.New("further data follows it")
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("it is not as expected: %w", err)
	}
	return v.validate()
}
