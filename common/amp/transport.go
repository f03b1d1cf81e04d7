package amp

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
)

// Transport is an http.RoundTripper that sends requests through a cache. It is
// safe for concurrent use.
type Transport struct {
	// Cache is the cache's URL, such as https://cdn.example/.
	Cache *url.URL
	// Base sends the requests to the cache. It should connect to the cache's own
	// name or to a front of it, for any host of the request: see [CacheURL].
	Base http.RoundTripper
}

// CacheError is the error of a cache that answered without the broker's response.
type CacheError struct {
	Cache  string
	Status string
	Err    error // from reading the page; nil for a status other than 200
}

func (e *CacheError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("the AMP cache %s does not answer with the broker's page: %v", e.Cache, e.Err)
	}
	return fmt.Sprintf("the AMP cache %s answers %s", e.Cache, e.Status)
}

func (e *CacheError) Unwrap() error { return e.Err }

// RoundTrip sends the request, with Authorization and Content-Type as its only
// headers. Its errors are *TooLong, *CacheError, or those of Base.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	inner := &Request{
		Method: req.Method, Target: req.URL.RequestURI(),
		Authorization: req.Header.Get("Authorization"), ContentType: req.Header.Get("Content-Type"),
	}
	if req.Body != nil {
		body, err := io.ReadAll(io.LimitReader(req.Body, MaxMessage))
		req.Body.Close()
		if err != nil {
			return nil, err
		}
		inner.Body = body
	}
	path, err := EncodePath(inner)
	if err != nil {
		return nil, err
	}
	at, err := CacheURL(t.Cache, &url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: path})
	if err != nil {
		return nil, err
	}
	outer, err := http.NewRequestWithContext(req.Context(), http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	outer.Header["User-Agent"] = nil // no header is the least conspicuous one
	resp, err := t.Base.RoundTrip(outer)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(io.LimitReader(resp.Body, MaxPage+1))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, &CacheError{Cache: t.Cache.Host, Status: resp.Status}
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "text/html" {
		return nil, &CacheError{t.Cache.Host, resp.Status, fmt.Errorf("its type is %q", kind)}
	}
	got, err := DecodePage(page)
	if err != nil {
		return nil, &CacheError{t.Cache.Host, resp.Status, err}
	}
	return got.http(req), nil
}

// CloseIdleConnections closes the idle connections of Base.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.Base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// http returns the response in the form that an http.Client expects.
func (r *Response) http(req *http.Request) *http.Response {
	header := http.Header{"Content-Length": {strconv.Itoa(len(r.Body))}}
	for name, value := range map[string]string{"Content-Type": r.ContentType, "Retry-After": r.RetryAfter, "Link": r.Link, "Date": r.Date} {
		if value != "" {
			header.Set(name, value)
		}
	}
	return &http.Response{
		StatusCode: r.Status, Status: fmt.Sprintf("%d %s", r.Status, http.StatusText(r.Status)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header,
		Body: io.NopCloser(bytes.NewReader(r.Body)), ContentLength: int64(len(r.Body)), Request: req,
	}
}
