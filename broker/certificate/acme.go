package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// ACMEConfig says which certificates to get, and where.
type ACMEConfig struct {
	// Hostnames are the names to get certificates for, each its own. A client
	// that names none gets the first one's.
	Hostnames []string
	// Email may be told by the server of trouble with a certificate. Optional.
	Email string
	// Cache is the folder that keeps the account's key and the certificates;
	// it is made if need be, and only its owner may read it.
	Cache string
	// Directory is the server's URL. Default: Let's Encrypt.
	Directory string
	// CAFile has the CA certificates, in PEM, that the server's own certificate
	// is checked against. Default: the system's.
	CAFile string
	// HTTPAddr is where the broker answers HTTP-01 challenges; empty for nowhere.
	// [NewACME] does not look at it.
	HTTPAddr string
	// Logger gets what becomes of the certificates.
	Logger *slog.Logger
}

// ACME gets certificates and renews them. It is safe for concurrent use.
type ACME struct {
	hosts   []string
	allowed autocert.HostPolicy
	manager *autocert.Manager
	logger  *slog.Logger
	// ended stops requests to the server once Keep is over.
	ended context.Context
	end   context.CancelFunc
}

// NewACME does not connect yet; see Keep. By it the operator accepts the
// server's terms of service.
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
		return nil, errors.New("there is no host name to get a certificate for")
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
	// Left to autocert: it renews a third of a certificate's life before the end,
	// at most 30 days.
	a.manager = &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(cfg.Cache), Email: cfg.Email,
		HostPolicy: a.allowed,
		Client:     &acme.Client{DirectoryURL: cfg.Directory, UserAgent: "farforge-broker", HTTPClient: a.httpClient(roots)},
	}
	return a, nil
}

// Hostname brings a host name into the form that certificates have: lower case
// and ASCII. An address, a wildcard or a name without a dot is an error: no
// ACME server gives a certificate for it by the challenges used here.
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

// withoutPort takes the port from a Host header, which has one when the port is
// not the usual one.
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

// ownFolder makes a folder that nobody else can read, or refuses one that
// others can: private keys go there.
func ownFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return &fs.PathError{Op: "use", Path: dir, Err: fmt.Errorf("it has mode %04o, others can read it; run: chmod 700 %s", mode, dir)}
	}
	return nil
}

// httpClient reaches the ACME server. autocert does not let its callers end an
// order, so the end of a ends its requests.
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

// endable lets no request outlive a context, nor its response.
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

// CloseIdleConnections is for http.Client.
func (e endable) CloseIdleConnections() { e.next.CloseIdleConnections() }
