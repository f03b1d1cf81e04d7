// Package certificate provides the certificates of the broker's TLS listener:
// from files, or from an ACME server (RFC 8555) such as Let's Encrypt.
//
//	files   cert.pem, key.pem ── Check, Reload ─▶ ┐
//	                                              ├─▶ TLS ─▶ the API's listener
//	ACME    order ─▶ challenge ─▶ certificate ──▶ ┘
//	            TLS-ALPN-01 (RFC 8737) on the API's own listener
//	            HTTP-01 (RFC 8555, section 8.3) on a plain one
//
// Handshakes are the broker's largest cost: an ECDSA certificate, session
// tickets and reused connections save more than any code of ours. So ACME
// certificates are always ECDSA, and crypto/tls manages the tickets, whose keys
// it changes every day.
package certificate

import (
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/farforge/farforge/broker/disk"
)

// maxFile bounds a chain or a key, in bytes.
const maxFile = 1 << 20

// Files is a certificate chain and its key in two PEM files. It is safe for
// concurrent use.
type Files struct {
	pair     *disk.Watched[*tls.Certificate]
	certFile string
	logger   *slog.Logger
}

// OpenFiles reads both files, and fails if they are not a valid pair.
func OpenFiles(certFile, keyFile string, logger *slog.Logger) (*Files, error) {
	pair, err := disk.Watch(disk.Source[*tls.Certificate]{
		Name: "certificate", Files: []string{certFile, keyFile}, Limit: maxFile, Logger: logger,
		Parse: func(files ...[]byte) (*tls.Certificate, error) {
			pair, err := tls.X509KeyPair(files[0], files[1])
			return &pair, err
		},
	})
	if err != nil {
		return nil, err
	}
	f := &Files{pair: pair, certFile: certFile, logger: logger}
	f.log(true)
	return f, nil
}

// TLS returns the configuration of a listener. It follows the files.
func (f *Files) TLS() *tls.Config {
	c := base()
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.pair.Value(), nil }
	return c
}

// Check reads the files again if one of them has changed. A wrong pair is
// logged, and the old pair stays.
func (f *Files) Check() { f.log(f.pair.Check()) }

// Reload reads the files again.
func (f *Files) Reload() { f.log(f.pair.Reload()) }

func (f *Files) log(read bool) {
	if !read {
		return
	}
	end := f.pair.Value().Leaf.NotAfter
	if time.Now().After(end) {
		f.logger.Warn("the certificate has expired", "file", f.certFile, "not_after", end)
		return
	}
	f.logger.Info("certificate loaded", "file", f.certFile, "not_after", end)
}

// base is the configuration of every listener: TLS 1.2 or later, with session
// tickets, and HTTP/2.
func base() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
}
