package certificate

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/url"
	"time"
)

// Limits of the listener for HTTP-01. It holds no request.
const (
	readTimeout    = 5 * time.Second
	writeTimeout   = 10 * time.Second
	idleTimeout    = 15 * time.Second
	maxHeaderBytes = 8 << 10
)

// HTTP01 returns a server that answers HTTP-01 challenges and redirects all other
// requests to origin, such as https://broker.example.org. ACME uses only
// TLS-ALPN-01 until the first call. errorLog gets the errors of net/http.
func (a *ACME) HTTP01(origin string, errorLog *log.Logger) *http.Server {
	return &http.Server{
		Handler:           a.manager.HTTPHandler(a.toHTTPS(origin)),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          errorLog,
	}
}

// toHTTPS redirects requests that can be repeated without harm. It refuses a
// request with a body: its secrets have already been sent in clear, and the sender
// must learn that.
func (a *ACME) toHTTPS(origin string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "This broker accepts requests over https only: "+origin+"\n")
			return
		}
		target := origin
		if u, err := url.Parse(origin); err == nil && a.allowed(context.Background(), r.Host) == nil {
			u.Host = withoutPort(r.Host) + portOf(u)
			target = u.String()
		}
		http.Redirect(w, r, target+r.URL.RequestURI(), http.StatusPermanentRedirect)
	})
}

func portOf(u *url.URL) string {
	if u.Port() == "" {
		return ""
	}
	return ":" + u.Port()
}
