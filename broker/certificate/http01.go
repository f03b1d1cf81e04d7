package certificate

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/url"
	"time"
)

// Limits of the listener for HTTP-01, where nothing is ever held.
const (
	readTimeout    = 5 * time.Second
	writeTimeout   = 10 * time.Second
	idleTimeout    = 15 * time.Second
	maxHeaderBytes = 8 << 10
)

// HTTP01 returns a server that answers HTTP-01 challenges and sends everybody
// else to origin, such as https://broker.example.org. Until it is called, only
// TLS-ALPN-01 is used. errorLog gets what net/http complains about.
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

// toHTTPS redirects what can be asked for again without harm. A request with a
// body is refused: what was secret in it has already gone in clear, and its
// sender should be told rather than served.
func (a *ACME) toHTTPS(origin string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "This broker takes requests over https only: "+origin+"\n")
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
