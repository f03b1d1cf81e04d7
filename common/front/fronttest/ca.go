// Package fronttest has the servers between a client and a broker, for tests: a
// certificate authority, nginx as a network that routes by Host, an AMP cache,
// proxies, a filter that cuts connections off, and a tap that records all bytes.
// All are on loopback and end with their test.
package fronttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// CA is a certificate authority for one test.
type CA struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes an authority.
func NewCA(t testing.TB) *CA {
	t.Helper()
	ca := &CA{t: t, dir: t.TempDir()}
	ca.cert, ca.key = ca.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	ca.write("ca.pem", "CERTIFICATE", ca.cert.Raw)
	return ca
}

// File returns the path of the authority's certificate in PEM form.
func (ca *CA) File() string { return filepath.Join(ca.dir, "ca.pem") }

// Pool returns a pool with the authority alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// Issue writes a certificate for names or addresses, and its key, to files.
func (ca *CA) Issue(names ...string) (certFile, keyFile string) {
	return ca.issue(time.Now().Add(24*time.Hour), names)
}

// ExpiredTLS is like TLS with a certificate that has just expired.
func (ca *CA) ExpiredTLS(names ...string) *tls.Config {
	return ca.config(ca.issue(time.Now().Add(-time.Minute), names))
}

func (ca *CA) issue(until time.Time, names []string) (certFile, keyFile string) {
	ca.t.Helper()
	template := &x509.Certificate{NotAfter: until, Subject: pkix.Name{CommonName: "test"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	cert, key := ca.sign(template)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		ca.t.Fatal(err)
	}
	serial := cert.SerialNumber.Text(36)
	return ca.write(serial+".pem", "CERTIFICATE", cert.Raw), ca.write(serial+".key", "PRIVATE KEY", der)
}

// TLS returns the configuration of a server with these names.
func (ca *CA) TLS(names ...string) *tls.Config { return ca.config(ca.Issue(names...)) }

func (ca *CA) config(certFile, keyFile string) *tls.Config {
	ca.t.Helper()
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		ca.t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
}

func (ca *CA) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	ca.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		ca.t.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64)); err != nil {
		ca.t.Fatal(err)
	}
	template.NotBefore = time.Now().Add(-time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(24 * time.Hour)
	}
	parent, signer := ca.cert, ca.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		ca.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		ca.t.Fatal(err)
	}
	return cert, key
}

func (ca *CA) write(name, kind string, der []byte) string {
	ca.t.Helper()
	path := filepath.Join(ca.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		ca.t.Fatal(err)
	}
	return path
}
