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
// largest body, as base64 within JSON, and some.
const MaxMessage = 112 << 10

// Request is what a path holds. There is no more of an HTTP request than this:
// other headers cannot be sent through a cache.
type Request struct {
	Method string `json:"m"`
	// Target is path and query.
	Target        string `json:"t"`
	Authorization string `json:"a,omitempty"`
	ContentType   string `json:"c,omitempty"`
	Body          []byte `json:"b,omitempty"`
}

// Response is what a page holds.
type Response struct {
	Status      int    `json:"s"`
	ContentType string `json:"c,omitempty"`
	RetryAfter  string `json:"r,omitempty"`
	// Link says where a list goes on (RFC 8288).
	Link string `json:"l,omitempty"`
	// Date is the broker's clock, in the form of the header of that name: the
	// cache's own header tells the cache's.
	Date string `json:"d,omitempty"`
	Body []byte `json:"b,omitempty"`
}

// validate refuses what would be no HTTP request, or more than one.
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
		return fmt.Errorf("the status %d is none", r.Status)
	case !headerValue(r.ContentType) || !headerValue(r.RetryAfter) || !headerValue(r.Link) || !headerValue(r.Date):
		return errors.New("a header has characters that headers cannot have")
	}
	return nil
}

// headerValue accepts what RFC 9110, section 5.5, calls a field value, in ASCII.
func headerValue(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c != '\t' && c < ' ' || c >= 0x7f })
}

// pack is JSON, deflated (RFC 1951): most of a request is base64, of which that
// saves a quarter.
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
		return errors.New("something follows it")
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("it is not as expected: %w", err)
	}
	return v.validate()
}
