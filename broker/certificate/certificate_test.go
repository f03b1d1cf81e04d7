package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair makes a self-signed certificate and its key, in PEM.
func pair(t *testing.T, serial int64, notAfter time.Time) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: notAfter}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	// It makes a new file, as certificate tools do.
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// serveOne sends a byte to the next client and returns the result.
func serveOne(l net.Listener) <-chan error {
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, err = io.WriteString(conn, "x")
			_ = conn.Close()
		}
		done <- err
	}()
	return done
}

// served returns the serial number of the certificate that a client gets.
func served(t *testing.T, c *tls.Config) int64 {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", c)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := serveOne(l)
	conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.ReadAll(conn); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestFilesAreFollowed(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	soon := time.Now().Add(time.Hour)
	cert1, key1 := pair(t, 1, soon)
	cert2, key2 := pair(t, 2, soon)
	write(t, certFile, cert1)
	write(t, keyFile, key1)
	var log bytes.Buffer
	f, err := OpenFiles(certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	c := f.TLS()
	check := func(what string, want int64, errors int) {
		t.Helper()
		f.Check()
		if got := served(t, c); got != want {
			t.Errorf("%s: certificate %d, want %d", what, got, want)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != errors {
			t.Errorf("%s: %d errors, want %d\n%s", what, n, errors, &log)
		}
	}
	check("at the start", 1, 0)
	write(t, certFile, cert2)
	check("between the two files", 1, 0)
	write(t, keyFile, key2)
	check("after both", 2, 0)
	write(t, keyFile, key1)
	check("a key of another certificate", 2, 0)
	check("which stays", 2, 1)
	check("is logged once", 2, 1)
	write(t, certFile, []byte("rubbish"))
	check("no certificate", 2, 1)
	check("which stays", 2, 2)
	if err := os.Remove(certFile); err != nil {
		t.Fatal(err)
	}
	check("no file", 2, 2)
	check("which stays", 2, 3)
	write(t, certFile, cert1)
	check("right again", 1, 3)
	f.Reload()
	check("a reload", 1, 3)
	expired, key := pair(t, 3, time.Now().Add(-time.Minute))
	write(t, certFile, expired)
	write(t, keyFile, key)
	check("expired", 3, 3)
	if !strings.Contains(log.String(), "has expired") {
		t.Errorf("an expired certificate is not logged:\n%s", &log)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	dir := t.TempDir()
	cert, key := pair(t, 1, time.Now().Add(time.Hour))
	write(t, filepath.Join(dir, "c"), cert)
	write(t, filepath.Join(dir, "k"), key)
	f, err := OpenFiles(filepath.Join(dir, "c"), filepath.Join(dir, "k"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	a, b := net.Pipe()
	defer a.Close()
	go func() {
		_ = tls.Server(b, f.TLS()).Handshake()
		_ = b.Close()
	}()
	if err := tls.Client(a, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}).Handshake(); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}

func newACME(t *testing.T, change func(*ACMEConfig)) (*ACME, error) {
	cfg := ACMEConfig{Hostnames: []string{"Broker.Example.org", "bücher.example"}, Cache: filepath.Join(t.TempDir(), "cache"), Logger: slog.New(slog.DiscardHandler)}
	change(&cfg)
	return NewACME(cfg)
}

func TestACMEConfig(t *testing.T) {
	open := t.TempDir()
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		change     func(*ACMEConfig)
	}{
		{"no names", "needs a host name", func(c *ACMEConfig) { c.Hostnames = nil }},
		{"an address", "an address", func(c *ACMEConfig) { c.Hostnames = []string{"192.0.2.1"} }},
		{"a wildcard", "not a full host name", func(c *ACMEConfig) { c.Hostnames = []string{"*.example.org"} }},
		{"no dot", "not a full host name", func(c *ACMEConfig) { c.Hostnames = []string{"localhost"} }},
		{"a port", "not a full host name", func(c *ACMEConfig) { c.Hostnames = []string{"a.example:443"} }},
		{"plain http", "not the https URL", func(c *ACMEConfig) { c.Directory = "http://acme.example/" }},
		{"no CA", "no such file", func(c *ACMEConfig) { c.CAFile = "/nowhere/ca.pem" }},
		{"an open cache", "chmod 700 " + open, func(c *ACMEConfig) { c.Cache = open }},
	} {
		if _, err := newACME(t, c.change); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	a, err := newACME(t, func(*ACMEConfig) {})
	if err != nil {
		t.Fatal(err)
	}
	for host, ok := range map[string]bool{
		"broker.example.org": true, "BROKER.example.org:8443": true, "broker.example.org.": true,
		"xn--bcher-kva.example": true, "other.example.org": false, "192.0.2.1:443": false, "": false,
	} {
		if err := a.allowed(t.Context(), host); (err == nil) != ok {
			t.Errorf("%q: %v", host, err)
		}
	}
}

func TestCacheIsForTheOwner(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if _, err := newACME(t, func(c *ACMEConfig) { c.Cache = dir }); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestPlainRequestsGoToHTTPS(t *testing.T) {
	a, err := newACME(t, func(*ACMEConfig) {})
	if err != nil {
		t.Fatal(err)
	}
	h := a.HTTP01("https://broker.example.org:8443", nil).Handler
	for _, c := range []struct {
		method, host, path string
		status             int
		location           string
	}{
		{"GET", "broker.example.org", "/health?x=1", 308, "https://broker.example.org:8443/health?x=1"},
		{"HEAD", "XN--bcher-kva.example:80", "/", 308, "https://xn--bcher-kva.example:8443/"},
		{"GET", "evil.example", "//evil.example/", 308, "https://broker.example.org:8443//evil.example/"},
		{"POST", "broker.example.org", "/grant/request", 403, ""},
		{"GET", "broker.example.org", "/.well-known/acme-challenge/x", 404, ""},
		{"GET", "evil.example", "/.well-known/acme-challenge/x", 403, ""},
	} {
		r := httptest.NewRequest(c.method, "http://x"+c.path, nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status || w.Header().Get("Location") != c.location {
			t.Errorf("%s %s%s: %d %q, want %d %q", c.method, c.host, c.path, w.Code, w.Header().Get("Location"), c.status, c.location)
		}
	}
}
