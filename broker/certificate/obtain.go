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
	// A failed order is retried after firstRetry and then less and less often,
	// within the server's limits. autocert remembers a failure for a minute.
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

// certificate wraps autocert's GetCertificate. Clients that send no name get the
// first host's certificate. It always requests an ECDSA certificate: otherwise a
// handshake of a client that predates ECDSA would order an RSA one.
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

// Keep orders the certificates that are not in the cache, so that no client waits
// for them, and logs new, renewed and failed ones. The listeners that answer
// challenges must be open. It returns when ctx has ended.
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
			a.logger.Error("a certificate cannot be obtained", "host", host, "err", err, "retry_in", retry,
				"hint", "let the name's DNS point to this machine, and open port 443 (TLS-ALPN-01) or 80 (HTTP-01) for the ACME server")
			pause(ctx, retry)
			retry = min(2*retry, lastRetry)
		default:
			retry = firstRetry
			a.report(host, last, pair.Leaf)
			last = pair.Leaf
			pause(ctx, min(time.Hour, max(time.Second, pair.Leaf.NotAfter.Sub(pair.Leaf.NotBefore)/20)))
		}
	}
}

// report logs a change since the last call. autocert renews certificates itself and
// does not report failures.
func (a *ACME) report(host string, last, now *x509.Certificate) {
	switch life := now.NotAfter.Sub(now.NotBefore); {
	case last == nil || !last.Equal(now):
		a.logger.Info("certificate obtained", "host", host, "renewed", last != nil, "not_after", now.NotAfter)
	case time.Until(now.NotAfter) < min(life/5, 20*24*time.Hour):
		a.logger.Error("a certificate expires soon and was not renewed", "host", host, "not_after", now.NotAfter,
			"hint", "let the name's DNS point to this machine, and open the challenge's port for the ACME server")
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
