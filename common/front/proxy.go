package front

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/proxy"
)

// NoProxy as the argument of [Proxy] ignores the environment.
const NoProxy = "none"

// ProxyFunc returns the proxy for a URL, or nil for none.
type ProxyFunc func(*url.URL) (*url.URL, error)

// Proxy returns the function for a proxy: a URL with one of the schemes http,
// https, socks5 and socks5h, or [NoProxy]. An empty one follows the environment:
// HTTPS_PROXY, HTTP_PROXY and NO_PROXY. The proxy resolves names, with socks5, too.
func Proxy(name string) (ProxyFunc, error) {
	switch name {
	case "":
		return httpproxy.FromEnvironment().ProxyFunc(), nil
	case NoProxy:
		return func(*url.URL) (*url.URL, error) { return nil, nil }, nil
	}
	u, err := url.Parse(name)
	if err != nil {
		return nil, errors.New("it is not a URL such as socks5://127.0.0.1:1080")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
	default:
		return nil, fmt.Errorf("%q is not like http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT", u.Redacted())
	}
	if u.Hostname() == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" {
		return nil, fmt.Errorf("%q is not like %s://HOST:PORT", u.Redacted(), u.Scheme)
	}
	return func(*url.URL) (*url.URL, error) { return u, nil }, nil
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// dialer connects to HOST:PORT addresses, through a proxy if there is one.
type dialer struct {
	proxy ProxyFunc
	dial  dialFunc
	roots *x509.CertPool
}

func (d *dialer) connect(ctx context.Context, address string) (net.Conn, error) {
	via, err := d.proxy(&url.URL{Scheme: "https", Host: address})
	if err != nil {
		return nil, fmt.Errorf("choose a proxy: %w", err)
	}
	if via == nil {
		return d.dial(ctx, "tcp", address)
	}
	switch via.Scheme {
	case "socks5", "socks5h":
		return d.socks(ctx, via, address)
	case "http", "https":
		return d.tunnel(ctx, via, address)
	default:
		return nil, fmt.Errorf("the proxy %s has an unknown scheme", via.Redacted())
	}
}

// socks connects through a SOCKS5 proxy (RFC 1928).
func (d *dialer) socks(ctx context.Context, via *url.URL, address string) (net.Conn, error) {
	var auth *proxy.Auth
	if via.User != nil {
		password, _ := via.User.Password()
		auth = &proxy.Auth{User: via.User.Username(), Password: password}
	}
	through, err := proxy.SOCKS5("tcp", withPort(via), auth, forward(d.dial))
	if err != nil {
		return nil, fmt.Errorf("the proxy %s: %w", via.Redacted(), err)
	}
	conn, err := through.(proxy.ContextDialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("the proxy %s: %w", via.Redacted(), err)
	}
	return conn, nil
}

// forward is a dialFunc with the methods that the proxy package needs.
type forward dialFunc

func (f forward) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}

func (f forward) Dial(network, address string) (net.Conn, error) {
	return f(context.Background(), network, address)
}

// tunnel connects through an HTTP proxy with CONNECT (RFC 9110, section 9.3.6).
func (d *dialer) tunnel(ctx context.Context, via *url.URL, address string) (conn net.Conn, err error) {
	if conn, err = d.dial(ctx, "tcp", withPort(via)); err != nil {
		return nil, fmt.Errorf("the proxy %s: %w", via.Redacted(), err)
	}
	defer func() {
		if err != nil {
			conn.Close()
			err = fmt.Errorf("the proxy %s: %w", via.Redacted(), err)
		}
	}()
	// The end of the context interrupts the writing and reading below.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() && err == nil {
			err = ctx.Err()
		}
	}()
	if via.Scheme == "https" {
		secured := tls.Client(conn, &tls.Config{ServerName: via.Hostname(), RootCAs: d.roots, MinVersion: tls.VersionTLS12})
		if err := secured.HandshakeContext(ctx); err != nil {
			return conn, err
		}
		conn = secured
	}
	ask := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if via.User != nil {
		password, _ := via.User.Password()
		ask.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(via.User.Username()+":"+password)))
	}
	if err := ask.Write(conn); err != nil {
		return conn, err
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, ask)
	if err != nil {
		return conn, err
	}
	resp.Body.Close()
	switch {
	case resp.StatusCode != http.StatusOK:
		return conn, fmt.Errorf("it refuses: %s", resp.Status)
	case in.Buffered() > 0:
		return conn, errors.New("it sends data before the request")
	}
	return conn, nil
}

// withPort returns HOST:PORT of a URL, with the scheme's default port if it has
// none.
func withPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		if port == "" {
			port = "1080"
		}
	}
	return net.JoinHostPort(u.Hostname(), port)
}
