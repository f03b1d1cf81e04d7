package fronttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base32"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/farforge/farforge/common/amp"
)

// AMPCache is a strict AMP cache: it serves GETs of URLs in its own form, stores
// pages, forwards no header in either direction, waits a few seconds for a
// publisher, and serves only valid AMP HTML, rewritten.
type AMPCache struct {
	// URL is the cache's own URL, with its name as the host.
	URL string

	name  string
	fetch *http.Client

	mu      sync.Mutex
	pages   map[string][]byte
	refused []string
	served  int
	longest int
}

// The cache's limits.
const (
	ampPatience = 6 * time.Second
	ampMaxPage  = 200_000
	ampMaxURL   = 8000
)

// StartAMPCache starts a cache with the name name:PORT. It fetches publishers'
// pages over TLS, with certificates of the authority, and connects to one address
// for all of them.
func StartAMPCache(t testing.TB, ca *CA, name, publishers string) *AMPCache {
	t.Helper()
	c := &AMPCache{pages: map[string][]byte{}}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, publishers)
		},
	}
	c.fetch = &http.Client{Transport: transport, Timeout: ampPatience}
	server := httptest.NewUnstartedServer(c)
	server.TLS = ca.TLS(name, "*."+name)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	c.name = net.JoinHostPort(name, port)
	c.URL = "https://" + c.name + "/"
	server.StartTLS()
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	return c
}

// Served returns the number of pages that the cache has served.
func (c *AMPCache) Served() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.served
}

// Longest returns the length of the longest URL so far.
func (c *AMPCache) Longest() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.longest
}

// Refused returns the reasons of refused requests.
func (c *AMPCache) Refused() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.refused...)
}

func (c *AMPCache) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	page, err := c.page(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.longest = max(c.longest, len(r.URL.String()))
	if err != nil {
		c.refused = append(c.refused, err.Error())
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	c.served++
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "private, max-age=604800, stale-while-revalidate=604800")
	_, _ = w.Write(page)
}

func (c *AMPCache) page(r *http.Request) ([]byte, error) {
	rest, secure := strings.CutPrefix(r.URL.Path, "/v/s/")
	host, _, _ := strings.Cut(rest, "/")
	label, domain, _ := strings.Cut(r.Host, ".")
	switch {
	case r.Method != http.MethodGet:
		return nil, fmt.Errorf("%s is not GET", r.Method)
	case len(r.URL.String()) > ampMaxURL:
		return nil, fmt.Errorf("a URL of %d characters", len(r.URL.String()))
	case !secure || host == "":
		return nil, fmt.Errorf("the path %.40s is not of the form /v/s/HOST/…", r.URL.Path)
	case domain != c.name:
		return nil, fmt.Errorf("the host %s is not in %s", r.Host, c.name)
	case label != publisherLabel(host):
		return nil, fmt.Errorf("the host begins with %s, not with %s", label, publisherLabel(host))
	}
	c.mu.Lock()
	kept, ok := c.pages[rest]
	c.mu.Unlock()
	if ok {
		return kept, nil
	}
	page, err := c.get(r.Context(), "https://"+rest)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pages[rest] = page
	return page, nil
}

// get fetches a publisher's page, without any header of the client's.
func (c *AMPCache) get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "cache")
	resp, err := c.fetch.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, ampMaxPage+1))
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the publisher answers %s", resp.Status)
	case kind != "text/html":
		return nil, fmt.Errorf("the publisher's page is %s", kind)
	case len(text) > ampMaxPage:
		return nil, fmt.Errorf("the publisher's page is longer than %d bytes", ampMaxPage)
	}
	root, err := html.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if err := validAMP(root); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := html.Render(&out, root); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// publisherLabel returns a publisher's name as the cache spells it.
func publisherLabel(host string) string {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	if net.ParseIP(name) == nil && strings.Contains(name, ".") {
		return strings.ReplaceAll(strings.ReplaceAll(name, "-", "--"), ".", "-")
	}
	sum := sha256.Sum256([]byte(name))
	return strings.ToLower(strings.TrimRight(base32.StdEncoding.EncodeToString(sum[:]), "="))
}

// validAMP checks what https://amp.dev/documentation/guides-and-tutorials/learn/spec/amphtml
// requires of every document, and refuses elements that this cache does not know.
func validAMP(root *html.Node) error {
	missing := map[string]bool{
		"doctype": true, "html amp": true, "meta charset": true, "script v0.js": true, "link canonical": true,
		"meta viewport": true, "style amp-boilerplate": true, "noscript": true,
	}
	known := map[string]bool{"html": true, "head": true, "body": true, "meta": true, "script": true, "title": true, "link": true, "style": true, "noscript": true, "pre": true, "p": true, "h1": true}
	for n := range root.Descendants() {
		switch n.Type {
		case html.DoctypeNode:
			delete(missing, "doctype")
		case html.ElementNode:
			has := map[string]string{}
			for _, a := range n.Attr {
				has[a.Key] = a.Val
			}
			_, amp := has["amp"]
			_, boilerplate := has["amp-boilerplate"]
			_, async := has["async"]
			switch {
			case !known[n.Data]:
				return fmt.Errorf("not AMP: it has a <%s>", n.Data)
			case n.Data == "html" && amp:
				delete(missing, "html amp")
			case n.Data == "meta" && has["charset"] == "utf-8" && n.PrevSibling != nil && n.PrevSibling.PrevSibling == nil || n.Data == "meta" && has["charset"] == "utf-8" && n.PrevSibling == nil:
				delete(missing, "meta charset")
			case n.Data == "script" && async && has["src"] == "https://cdn.ampproject.org/v0.js" && n.Parent.Data == "head":
				delete(missing, "script v0.js")
			case n.Data == "script":
				return fmt.Errorf("not AMP: it has a script")
			case n.Data == "link" && has["rel"] == "canonical":
				delete(missing, "link canonical")
			case n.Data == "meta" && has["name"] == "viewport" && strings.Contains(has["content"], "width=device-width"):
				delete(missing, "meta viewport")
			case n.Data == "style" && boilerplate && n.FirstChild != nil && strings.Contains(n.FirstChild.Data, "-amp-start 8s steps(1,end) 0s 1 normal both"):
				delete(missing, "style amp-boilerplate")
			case n.Data == "style":
				return fmt.Errorf("not AMP: it has a style")
			case n.Data == "noscript" && n.FirstChild != nil:
				delete(missing, "noscript")
			}
		}
	}
	for what := range missing {
		return fmt.Errorf("not AMP: it has no %s", what)
	}
	return nil
}

// Publish serves a handler's responses through AMP caches, too, like a broker.
func Publish(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, err := amp.DecodePath(r.URL.Path)
		if err != nil {
			next.ServeHTTP(w, r)
			return
		}
		inner, got := httptest.NewRequestWithContext(r.Context(), in.Method, in.Target, bytes.NewReader(in.Body)), httptest.NewRecorder()
		inner.Header.Set("Authorization", in.Authorization)
		inner.Header.Set("Content-Type", in.ContentType)
		next.ServeHTTP(got, inner)
		page, err := amp.EncodePage(&amp.Response{
			Status: got.Code, ContentType: got.Header().Get("Content-Type"), RetryAfter: got.Header().Get("Retry-After"),
			Date: time.Now().UTC().Format(http.TimeFormat), Body: got.Body.Bytes(),
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", amp.TypePage)
		_, _ = w.Write(page)
	})
}
