package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/net/idna"

	"github.com/farforge/farforge/broker/disk"
)

// ACMEConfig configures an [ACME].
type ACMEConfig struct {
	// Hostnames are the names, each with a certificate of its own. A client that
	// sends no name gets the certificate of the first.
	Hostnames []string
	// Email is where the server may send warnings. Optional.
	Email string
	// Cache is the folder for the account's key and the certificates. A missing
	// one is created, and only its owner may read it.
	Cache string
	// Directory is the server's URL. Default: Let's Encrypt.
	Directory string
	// CAFile has the CA certificates, in PEM, that verify the server's own
	// certificate. Default: the system's.
	CAFile string
	// HTTPAddr is the address for HTTP-01 challenges; empty disables them.
	// [NewACME] ignores it.
	HTTPAddr string
	// Logger gets the events of certificates.
	Logger *slog.Logger
}

// ACME obtains certificates and renews them. It is safe for concurrent use.
type ACME struct {
	hosts   []string
	allowed autocert.HostPolicy
	manager *autocert.Manager
	logger  *slog.Logger
	// ended stops requests to the server once Keep is over.
	ended context.Context
	end   context.CancelFunc
}

// NewACME does not connect yet; see Keep. Calling it accepts the server's terms of
// service.
func NewACME(cfg ACMEConfig) (*ACME, error) {
	a := &ACME{logger: cfg.Logger}
	for _, name := range cfg.Hostnames {
		host, err := Hostname(name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(a.hosts, host) {
			a.hosts = append(a.hosts, host)
		}
	}
	if len(a.hosts) == 0 {
		return nil, errors.New("ACME needs a host name")
	}
	if cfg.Directory == "" {
		cfg.Directory = autocert.DefaultACMEDirectory
	}
	if u, err := url.Parse(cfg.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is not the https URL of an ACME directory", cfg.Directory)
	}
	roots, err := caFile(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	if err := ownFolder(cfg.Cache); err != nil {
		return nil, err
	}
	a.ended, a.end = context.WithCancel(context.Background())
	whitelist := autocert.HostWhitelist(a.hosts...)
	a.allowed = func(ctx context.Context, host string) error { return whitelist(ctx, withoutPort(host)) }
	// autocert renews a certificate before the last third of its life, at most 30
	// days before its end.
	a.manager = &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(cfg.Cache), Email: cfg.Email,
		HostPolicy: a.allowed,
		Client:     &acme.Client{DirectoryURL: cfg.Directory, UserAgent: "farforge-broker", HTTPClient: a.httpClient(roots)},
	}
	return a, nil
}

// Hostname returns a host name as certificates have it: lower case and ASCII. An
// address, a wildcard or a name without a dot is an error: no ACME server issues
// a certificate for it by the challenges used here.
func Hostname(name string) (string, error) {
	host, err := idna.Lookup.ToASCII(name)
	if err != nil || !strings.Contains(strings.Trim(host, "."), ".") {
		return "", fmt.Errorf("%q is not a full host name such as broker.example.org", name)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return "", fmt.Errorf("%q is an address, not a host name", name)
	}
	return strings.TrimSuffix(host, "."), nil
}

// withoutPort removes the port of a Host header.
func withoutPort(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func caFile(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, _, err := disk.Read(path, maxFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate in PEM", path)
	}
	return pool, nil
}

// ownFolder creates a folder for private keys, or refuses one that others can
// read.
func ownFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return disk.CheckFolder(dir, disk.Private)
}

// httpClient returns the client for the ACME server. autocert cannot cancel an
// order, so the client's requests end when Keep returns.
func (a *ACME) httpClient(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout: 30 * time.Second,
		Transport: endable{a.ended, &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 10 * time.Second,
			IdleConnTimeout:     30 * time.Second,
			ForceAttemptHTTP2:   true,
		}},
	}
}

// endable ends requests and their responses with a context.
type endable struct {
	ended context.Context
	next  *http.Transport
}

func (e endable) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(e.ended, cancel)()
	resp, err := e.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxFile))
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// CloseIdleConnections is called by http.Client.
func (e endable) CloseIdleConnections() { e.next.CloseIdleConnections() }
