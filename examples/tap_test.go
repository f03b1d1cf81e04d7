package examples_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"testing"

	"github.com/farforge/farforge/common/api"
)

// tap is a proxy between the broker and all agents and clients. It stands for a
// CDN, or for a lying broker, and records all bodies.
type tap struct {
	server *httptest.Server

	mu     sync.Mutex
	target *url.URL
	seen   bytes.Buffer
	lies   lies
}

// lies are the changes that a tap makes. Nil members change nothing.
type lies struct {
	// change replaces the body of a response.
	change func(path string, body []byte) []byte
	// answer returns a response in place of the broker's, or nil to forward
	// the request.
	answer func(path string, body []byte) []byte
}

func newTap(t testing.TB) *tap {
	tp := &tap{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			tp.mu.Lock()
			defer tp.mu.Unlock()
			r.SetURL(tp.target)
		},
		ModifyResponse: func(resp *http.Response) error {
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			if change := tp.current().change; change != nil {
				body = change(resp.Request.URL.Path, body)
			}
			tp.keep(body)
			resp.Body = io.NopCloser(bytes.NewReader(body))
			resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	tp.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sender hung up
		}
		tp.keep(body)
		if answer := tp.current().answer; answer != nil {
			if body := answer(r.URL.Path, body); body != nil {
				w.Header().Set("Content-Type", api.TypeOpaque)
				_, _ = w.Write(body)
				return
			}
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(tp.server.Close)
	return tp
}

// connect sets the broker's URL.
func (tp *tap) connect(t testing.TB, broker string) {
	target, err := url.Parse(broker)
	if err != nil {
		t.Fatal(err)
	}
	tp.mu.Lock()
	defer tp.mu.Unlock()
	tp.target = target
}

// lie sets the changes that the tap makes from now on.
func (tp *tap) lie(l lies) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	tp.lies = l
}

func (tp *tap) current() lies {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	return tp.lies
}

func (tp *tap) keep(body []byte) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	tp.seen.Write(body)
	tp.seen.WriteByte('\n')
}

// everything returns all recorded bodies.
func (tp *tap) everything() []byte {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	return bytes.Clone(tp.seen.Bytes())
}
