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

// tap stands between a broker and everybody else, as a CDN does, or a broker
// that lies. It keeps all that passes.
type tap struct {
	server *httptest.Server

	mu     sync.Mutex
	target *url.URL
	seen   bytes.Buffer
	lies   lies
}

// lies are what a tap does beside passing on. Nil members do nothing.
type lies struct {
	// change replaces the body of a response.
	change func(path string, body []byte) []byte
	// answer answers a request instead of the broker, unless it returns nil.
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
			if change := tp.told().change; change != nil {
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
		if answer := tp.told().answer; answer != nil {
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

// connect says where the broker is.
func (tp *tap) connect(t testing.TB, broker string) {
	target, err := url.Parse(broker)
	if err != nil {
		t.Fatal(err)
	}
	tp.mu.Lock()
	defer tp.mu.Unlock()
	tp.target = target
}

// lie makes the tap lie from here on.
func (tp *tap) lie(l lies) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	tp.lies = l
}

func (tp *tap) told() lies {
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

// everything returns all bodies that have passed.
func (tp *tap) everything() []byte {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	return bytes.Clone(tp.seen.Bytes())
}
