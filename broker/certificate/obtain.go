package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
)

const (
	// A certificate that cannot be had is asked for again after firstRetry, and
	// ever more rarely, so that the server's limits are not reached. What
	// failed is remembered by autocert for a minute.
	firstRetry = 65 * time.Second
	lastRetry  = time.Hour
)

// TLS returns the configuration of a listener, which also answers TLS-ALPN-01
// challenges.
func (a *ACME) TLS() *tls.Config {
	c := base()
	c.NextProtos = append(c.NextProtos, acme.ALPNProto)
	c.GetCertificate = a.certificate
	return c
}

// certificate is autocert's GetCertificate, with the first name for clients
// that give none, and without its RSA certificates for clients that predate
// ECDSA: anybody could have one ordered by such a handshake.
func (a *ACME) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := hello.ServerName
	if name == "" {
		name = a.hosts[0]
	}
	return a.manager.GetCertificate(&tls.ClientHelloInfo{
		ServerName:      name,
		SupportedProtos: hello.SupportedProtos,
		CipherSuites:    []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	})
}

// Keep orders the certificates that the cache lacks, so that no client has to
// wait for them, and tells of each that comes, is renewed or fails to be. The
// listeners that answer challenges must be open. It returns once ctx has ended.
func (a *ACME) Keep(ctx context.Context) {
	defer a.manager.Client.HTTPClient.CloseIdleConnections()
	defer a.end()
	defer context.AfterFunc(ctx, a.end)()
	var all sync.WaitGroup
	for _, host := range a.hosts {
		all.Go(func() { a.keep(ctx, host) })
	}
	all.Wait()
}

func (a *ACME) keep(ctx context.Context, host string) {
	retry := firstRetry
	var last *x509.Certificate
	for ctx.Err() == nil {
		pair, err := a.certificate(&tls.ClientHelloInfo{ServerName: host})
		switch {
		case ctx.Err() != nil:
		case err != nil:
			a.logger.Error("there is no certificate for a host name", "host", host, "err", err, "again_in", retry,
				"hint", "its DNS must lead here, and port 443 (TLS-ALPN-01) or 80 (HTTP-01) be reachable from the ACME server")
			pause(ctx, retry)
			retry = min(2*retry, lastRetry)
		default:
			retry = firstRetry
			a.tell(host, last, pair.Leaf)
			last = pair.Leaf
			pause(ctx, min(time.Hour, max(time.Second, pair.Leaf.NotAfter.Sub(pair.Leaf.NotBefore)/20)))
		}
	}
}

// tell logs what has changed since the last look. autocert renews by itself,
// and is silent when it fails.
func (a *ACME) tell(host string, last, now *x509.Certificate) {
	switch life := now.NotAfter.Sub(now.NotBefore); {
	case last == nil || !last.Equal(now):
		a.logger.Info("there is a certificate", "host", host, "renewed", last != nil, "not_after", now.NotAfter)
	case time.Until(now.NotAfter) < min(life/5, 20*24*time.Hour):
		a.logger.Error("a certificate is due, and was not renewed", "host", host, "not_after", now.NotAfter,
			"hint", "the host name's DNS must lead here, and the challenge's port be reachable from the ACME server")
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
