package server

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"github.com/farforge/farforge/common/amp"
	"github.com/farforge/farforge/common/api"
)

// ampPatterns are the requests that are served through an AMP cache: those of
// clients. Agents would poll too often for a cache.
var ampPatterns = [...]string{
	"POST " + api.PathGrantRequest,
	"GET " + api.PathAgents,
	"/signaling/{job_id}/{step}",
	"POST " + api.PathUserHello,
	"POST " + api.PathUserSession,
	"GET " + api.PathHealth,
	"GET " + api.PathJWKS,
}

// ampPage serves GET /amp/…: a request that came through an AMP cache. next is the
// whole API. The inner request is served like any other, and its response, also an
// error, is sent in a page with status 200, because a cache forwards no other.
func (s *Server) ampPage(next http.Handler) handlerFunc {
	allowed := http.NewServeMux()
	for _, pattern := range ampPatterns {
		allowed.Handle(pattern, next)
	}
	allowed.Handle("/", s.wrap("amp_inner", func(*response, *http.Request) error {
		return problem(http.StatusNotFound, api.CodeNotFound, "this request is not served through an AMP cache")
	}))
	return func(w *response, r *http.Request) error {
		if r.Method != http.MethodGet { // a HEAD request would have effects, too
			return wrongMethod(http.MethodGet)(w, r)
		}
		inner, err := amp.DecodePath(r.URL.Path)
		if err != nil {
			return malformed(err.Error())
		}
		req, err := innerRequest(r, inner)
		if err != nil {
			return malformed(err.Error())
		}
		got := &innerResponse{outer: w.ResponseWriter, header: http.Header{}}
		allowed.ServeHTTP(got, req)
		if r.Context().Err() != nil {
			w.result = "gone"
			return nil
		}
		page, err := amp.EncodePage(got.message(s.now()))
		if err != nil {
			return err
		}
		// No URL is requested twice. Caches keep a page for at least fifteen
		// seconds; with a shorter time they request it twice.
		w.Header().Set("Cache-Control", "public, max-age=15")
		return w.send(http.StatusOK, amp.TypePage, page)
	}
}

// innerRequest returns the HTTP request that a path encodes. Its address is the
// cache's, and it has no headers but the two that a message can have.
func innerRequest(outer *http.Request, in *amp.Request) (*http.Request, error) {
	req, err := http.NewRequestWithContext(outer.Context(), in.Method, in.Target, bytes.NewReader(in.Body))
	if err != nil {
		return nil, err
	}
	req.RequestURI, req.Host = in.Target, outer.Host
	req.RemoteAddr, req.TLS = outer.RemoteAddr, outer.TLS
	req.Header["X-Forwarded-For"] = outer.Header.Values("X-Forwarded-For")
	if in.Authorization != "" {
		req.Header.Set("Authorization", in.Authorization)
	}
	if in.ContentType != "" {
		req.Header.Set("Content-Type", in.ContentType)
	}
	return req, nil
}

// innerResponse collects a response. Its deadlines are those of the connection.
type innerResponse struct {
	outer  http.ResponseWriter
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *innerResponse) Header() http.Header { return r.header }

// Unwrap is for http.ResponseController.
func (r *innerResponse) Unwrap() http.ResponseWriter { return r.outer }

func (r *innerResponse) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *innerResponse) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}

// message returns the response as the page encodes it.
func (r *innerResponse) message(now time.Time) *amp.Response {
	m := &amp.Response{
		Status: r.status, ContentType: r.header.Get("Content-Type"), RetryAfter: r.header.Get("Retry-After"),
		Link: r.header.Get("Link"), Date: now.UTC().Format(http.TimeFormat), Body: r.body.Bytes(),
	}
	if m.Status == 0 {
		m.Status = http.StatusOK
	}
	if _, err := strconv.Atoi(m.RetryAfter); err != nil {
		m.RetryAfter = ""
	}
	return m
}
