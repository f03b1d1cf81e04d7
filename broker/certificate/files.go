package certificate

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/farforge/farforge/broker/disk"
)

// maxFile bounds a chain or a key, in bytes.
const maxFile = 1 << 20

// Files is a certificate chain and its key in two PEM files. It is safe for
// concurrent use.
type Files struct {
	certFile, keyFile string
	logger            *slog.Logger
	current           atomic.Pointer[tls.Certificate]

	mu            sync.Mutex
	certAt, keyAt disk.Version
	// suspect is set when a pair was wrong at the last look. Two files cannot
	// change at once: it is said at the next one, if it is wrong still.
	suspect bool
}

// OpenFiles reads both files, or tells what is wrong with them.
func OpenFiles(certFile, keyFile string, logger *slog.Logger) (*Files, error) {
	f := &Files{certFile: certFile, keyFile: keyFile, logger: logger}
	pair, err := f.read()
	if err != nil {
		return nil, err
	}
	f.take(pair)
	return f, nil
}

// TLS returns the configuration of a listener. It follows the files.
func (f *Files) TLS() *tls.Config {
	c := base()
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.current.Load(), nil }
	return c
}

// Check reads the files again if one of them has changed. What is wrong is
// logged, and the old pair stays.
func (f *Files) Check() {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed := f.certAt.Changed(f.certFile) || f.keyAt.Changed(f.keyFile)
	if !changed && !f.suspect {
		return
	}
	pair, err := f.read()
	if err != nil && changed {
		f.suspect = true // perhaps the other file is about to follow
		return
	}
	f.suspect = false
	f.took(pair, err)
}

// Reload reads the files again, whether they seem changed or not.
func (f *Files) Reload() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.suspect = false
	f.took(f.read())
}

func (f *Files) took(pair *tls.Certificate, err error) {
	if err != nil {
		f.logger.Error("the certificate was not read again; the old one stays", "err", err)
		return
	}
	f.take(pair)
}

func (f *Files) take(pair *tls.Certificate) {
	f.current.Store(pair)
	if left := time.Until(pair.Leaf.NotAfter); left < 0 {
		f.logger.Warn("the certificate has expired", "file", f.certFile, "not_after", pair.Leaf.NotAfter)
		return
	}
	f.logger.Info("the certificate was read", "file", f.certFile, "not_after", pair.Leaf.NotAfter)
}

// read notes the versions that it has seen, also if they are no good.
func (f *Files) read() (*tls.Certificate, error) {
	cert, certAt, err := disk.Read(f.certFile, maxFile)
	f.certAt = certAt
	if err != nil {
		return nil, err
	}
	key, keyAt, err := disk.Read(f.keyFile, maxFile)
	f.keyAt = keyAt
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", f.certFile, f.keyFile, err)
	}
	return &pair, nil
}
