// Package front makes HTTPS connections that hide their destination.
//
// Many sites share the machines of one content delivery network. A request names
// its site three times: in DNS, in the TLS ClientHello (SNI, RFC 6066), and in its
// Host. The first two travel in clear, the third is encrypted. A front is a site of
// the same network that is not blocked:
//
//	                seen on the wire                    encrypted
//	DNS, TCP, SNI: front.example        Host: broker.example.org
//	      │                                  │
//	client ────────── TLS ────────▶ the network's edge ─────▶ broker
//	                  its certificate is front.example's
//
// An observer sees a visit to front.example. The network sees all that TLS
// protects, so a request must not contain anything that is secret from the network.
//
// The ClientHello of a Go program differs from a browser's. [Config.Imitate] makes
// the handshake look like a browser's, by github.com/refraction-networking/utls.
package front

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	idleTimeout = 90 * time.Second
	maxIdle     = 8
	pingAfter   = 30 * time.Second
	pingTimeout = 10 * time.Second
)

// Config says how to make connections. The zero value makes them like any Go
// program.
type Config struct {
	// Front is the host to connect to and to name in the handshake, HOST or
	// HOST:PORT, instead of the request's host.
	Front string
	// Imitate is one of [Names]; empty is Go's own handshake.
	Imitate string
	// Roots verify servers; nil are the system's.
	Roots *x509.CertPool
	// Proxy chooses a proxy; nil follows the environment.
	Proxy ProxyFunc
	// ConnectTimeout bounds the TCP connection, and then the handshake; 0 is 10 s.
	ConnectTimeout time.Duration
	// HeaderTimeout bounds the time from a request to the head of its response;
	// 0 leaves it to the request's context.
	HeaderTimeout time.Duration
	// Dial makes TCP connections; nil is a net.Dialer's DialContext.
	Dial dialFunc
}

// Transport is an http.RoundTripper. It is safe for concurrent use.
type Transport struct {
	front string // HOST:PORT, or empty
	plain *http.Transport
	like  *imitator // nil: Go's own handshake
}

// New returns a transport. It does not connect yet.
func New(c Config) (*Transport, error) {
	if c.Proxy == nil {
		c.Proxy, _ = Proxy("")
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: c.ConnectTimeout}).DialContext
	}
	t := &Transport{plain: &http.Transport{
		Proxy:                 func(r *http.Request) (*url.URL, error) { return c.Proxy(r.URL) },
		DialContext:           c.Dial,
		TLSClientConfig:       &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(maxIdle)},
		TLSHandshakeTimeout:   c.ConnectTimeout,
		ResponseHeaderTimeout: c.HeaderTimeout,
		IdleConnTimeout:       idleTimeout,
		MaxIdleConnsPerHost:   maxIdle,
		ForceAttemptHTTP2:     true,
		// Without this, a connection that died in silence would stay in use.
		HTTP2: &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}}
	if c.Front != "" {
		address, err := Address(c.Front)
		if err != nil {
			return nil, err
		}
		t.front = address
	}
	if c.Imitate != "" {
		hello, ok := imitations()[strings.ToLower(c.Imitate)]
		if !ok {
			return nil, fmt.Errorf("unknown handshake %q to imitate; the names are %s", c.Imitate, strings.Join(Names(), ", "))
		}
		t.like = newImitator(hello, &dialer{c.Proxy, c.Dial, c.Roots}, c.ConnectTimeout)
		t.like.h1.ResponseHeaderTimeout = c.HeaderTimeout
	}
	return t, nil
}

// Address returns HOST:PORT of a front, with port 443 if it has none.
func Address(front string) (string, error) {
	u, err := url.Parse("https://" + front)
	if err != nil || u.Hostname() == "" || u.Host != front {
		return "", fmt.Errorf("the front %q is not like cdn.example or cdn.example:8443", front)
	}
	return withPort(u), nil
}

// errPlain is the error of a plain request: TLS does all the hiding.
var errPlain = errors.New("a front needs an https URL")

// RoundTrip sends a request, to the front if there is one. It does not change the
// request, as http.RoundTripper demands.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.front != "" {
		if req.URL.Scheme != "https" {
			if req.Body != nil {
				req.Body.Close()
			}
			return nil, errPlain
		}
		fronted := req.Clone(req.Context())
		if fronted.Host == "" {
			fronted.Host = req.URL.Host
		}
		fronted.URL.Host = strings.TrimSuffix(t.front, ":443")
		req = fronted
	}
	if t.like != nil && req.URL.Scheme == "https" {
		return t.like.RoundTrip(req)
	}
	return t.plain.RoundTrip(req)
}

// CloseIdleConnections closes the connections that are not in use.
func (t *Transport) CloseIdleConnections() {
	t.plain.CloseIdleConnections()
	if t.like != nil {
		t.like.CloseIdleConnections()
	}
}
