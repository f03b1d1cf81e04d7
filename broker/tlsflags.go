package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/broker/certificate"
)

// ACMEConfig says which certificates to get by ACME. Without host names there
// are none.
type ACMEConfig struct {
	Hostnames []string
	Email     string
	Cache     string
	Directory string
	CAFile    string
	HTTPAddr  string
}

func (a *ACMEConfig) register(f *pflag.FlagSet) {
	f.StringSliceVar(&a.Hostnames, "acme-hostnames", nil, "get certificates for these `NAMES`, separated by commas, from an ACME server, whose terms are accepted by that; --origin is then the first one's")
	f.StringVar(&a.Email, "acme-email", "", "`ADDRESS` that the ACME server may write to when a certificate is in trouble")
	f.StringVar(&a.Cache, "acme-cert-cache", "", "`DIR` that keeps the certificates (default certificates in --state-dir)")
	f.StringVar(&a.Directory, "acme-directory", "", "`URL` of the ACME server's directory (default Let's Encrypt's)")
	f.StringVar(&a.CAFile, "acme-ca-file", "", "CA certificates of a private ACME server, a PEM `FILE`")
	f.StringVar(&a.HTTPAddr, "acme-http-addr", ":80", "answer HTTP-01 challenges on this `HOST:PORT`, and send all else there to https; empty for TLS-ALPN-01 alone")
}

// validate looks at the flags alone, and brings the host names into their
// normal form.
func (a *ACMEConfig) validate() error {
	if len(a.Hostnames) == 0 {
		for _, f := range []struct{ flag, value string }{
			{"--acme-email", a.Email}, {"--acme-cert-cache", a.Cache}, {"--acme-directory", a.Directory}, {"--acme-ca-file", a.CAFile},
		} {
			if f.value != "" {
				return usage(fmt.Errorf("%s is given without --acme-hostnames", f.flag), "name the hosts to get certificates for, or leave it out")
			}
		}
		return nil
	}
	for i, name := range a.Hostnames {
		host, err := certificate.Hostname(name)
		if err != nil {
			return usage(fmt.Errorf("--acme-hostnames: %w", err), "give the names that agents and clients will dial, without https:// and port")
		}
		a.Hostnames[i] = host
	}
	if a.HTTPAddr != "" {
		if _, _, err := net.SplitHostPort(a.HTTPAddr); err != nil {
			return usage(fmt.Errorf("--acme-http-addr: %w", err), "give a host and a port, such as :80")
		}
	}
	return nil
}

// validateTLS demands one way to have certificates, or none on purpose.
func (c *Config) validateTLS() error {
	files, acme := c.Cert != "" || c.Key != "", len(c.ACME.Hostnames) > 0
	switch {
	case !c.DisableTLS && !files && !acme:
		return usage(errors.New("there is no certificate to serve TLS with"),
			"give --acme-hostnames to get one by itself, or --cert and --key",
			"or --disable-tls, if a proxy ends TLS or all is on one machine")
	case c.DisableTLS && files:
		return usage(errors.New("--disable-tls contradicts --cert and --key"), "leave one of the two out")
	case c.DisableTLS && acme:
		return usage(errors.New("--disable-tls contradicts --acme-hostnames"), "leave one of the two out")
	case files && acme:
		return usage(errors.New("--acme-hostnames contradicts --cert and --key"), "leave one of the two out")
	case (c.Cert == "") != (c.Key == ""):
		return usage(errors.New("--cert and --key go together"), "give both")
	}
	return c.ACME.validate()
}

// certificates are where the listener has its own from: one of the two, or
// neither.
type certificates struct {
	files *certificate.Files
	acme  *certificate.ACME
}

func openCertificates(c *Config, logger *slog.Logger) (certs certificates, err error) {
	switch {
	case c.Cert != "":
		if certs.files, err = certificate.OpenFiles(c.Cert, c.Key, logger); err != nil {
			return certs, usage(fmt.Errorf("--cert and --key: %w", err))
		}
	case len(c.ACME.Hostnames) > 0:
		cache := c.ACME.Cache
		if cache == "" {
			cache = filepath.Join(c.StateDir, "certificates")
		}
		certs.acme, err = certificate.NewACME(certificate.ACMEConfig{
			Hostnames: c.ACME.Hostnames, Email: c.ACME.Email, Cache: cache,
			Directory: c.ACME.Directory, CAFile: c.ACME.CAFile, Logger: logger,
		})
		if err != nil {
			return certs, usage(fmt.Errorf("--acme-hostnames: %w", err))
		}
	}
	return certs, nil
}

// tls is nil where TLS is disabled.
func (c certificates) tls() *tls.Config {
	switch {
	case c.files != nil:
		return c.files.TLS()
	case c.acme != nil:
		return c.acme.TLS()
	default:
		return nil
	}
}

// Reload reads the files again.
func (c certificates) Reload() {
	if c.files != nil {
		c.files.Reload()
	}
}

// Check does so if they have changed.
func (c certificates) Check() {
	if c.files != nil {
		c.files.Check()
	}
}

// start orders certificates, and answers challenges on http01 if there is one.
// It returns at once; stop ends all that and waits for it.
func (c certificates) start(http01 net.Listener, origin string, logger *slog.Logger) (stop func()) {
	if c.acme == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	if http01 != nil {
		srv := c.acme.HTTP01(origin, slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug))
		running.Go(func() {
			if err := srv.Serve(http01); !errors.Is(err, http.ErrServerClosed) {
				logger.Error("HTTP-01 challenges are not answered any more", "err", err)
			}
		})
		context.AfterFunc(ctx, func() { _ = srv.Close() })
	}
	running.Go(func() { c.acme.Keep(ctx) })
	return func() { cancel(); running.Wait() }
}
