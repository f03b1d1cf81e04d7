package certificate

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/cli"
)

// Config selects the source of the broker's certificate: files, ACME, or none.
type Config struct {
	Cert, Key string // PEM files
	Disable   bool
	ACME      ACMEConfig
}

// Register defines the flags and their defaults.
func (c *Config) Register(f *pflag.FlagSet) {
	f.BoolVar(&c.Disable, "disable-tls", false, "serve plain HTTP, on one machine or behind a proxy that ends TLS")
	f.StringVar(&c.Cert, "cert", "", "serve the certificate chain in this PEM `FILE`, and follow its changes")
	f.StringVar(&c.Key, "key", "", "use the private key in this PEM `FILE`")
	cli.ListVar(f, &c.ACME.Hostnames, "acme-hostnames", ",", parseHostname, "get certificates for these `NAMES` by ACME and accept its terms")
	f.StringVar(&c.ACME.Email, "acme-email", "", "give the ACME server this `ADDRESS` for warnings")
	f.StringVar(&c.ACME.Cache, "acme-cert-cache", "", "keep ACME certificates in `DIR` (default certificates in --state-dir)")
	f.StringVar(&c.ACME.Directory, "acme-directory", "", "use the ACME directory at this `URL` (default Let's Encrypt's)")
	f.StringVar(&c.ACME.CAFile, "acme-ca-file", "", "trust the CA certificates in this PEM `FILE` for ACME")
	f.StringVar(&c.ACME.HTTPAddr, "acme-http-addr", ":80", "answer HTTP-01 on `HOST:PORT`, redirect the rest to https; empty for none")
}

func parseHostname(name string) (string, error) {
	host, err := Hostname(name)
	if err != nil {
		return "", cli.Fail(cli.Usage, err, "give the names that agents and clients use, without https:// and port")
	}
	return host, nil
}

// Validate requires exactly one source of certificates, or --disable-tls.
func (c *Config) Validate() error {
	files, acme := c.Cert != "" || c.Key != "", len(c.ACME.Hostnames) > 0
	switch {
	case !c.Disable && !files && !acme:
		return cli.Usagef("TLS needs a certificate").Hint(
			"add --acme-hostnames to obtain one automatically, or --cert and --key",
			"add --disable-tls if a proxy ends TLS, or on a single machine")
	case c.Disable && files:
		return cli.Usagef("--disable-tls contradicts --cert and --key").Hint("remove one of the two")
	case c.Disable && acme:
		return cli.Usagef("--disable-tls contradicts --acme-hostnames").Hint("remove one of the two")
	case files && acme:
		return cli.Usagef("--acme-hostnames contradicts --cert and --key").Hint("remove one of the two")
	case (c.Cert == "") != (c.Key == ""):
		return cli.Usagef("--cert and --key need each other").Hint("give both")
	}
	return c.ACME.validate()
}

func (c *ACMEConfig) validate() error {
	if len(c.Hostnames) == 0 {
		for _, f := range []struct{ flag, value string }{
			{"--acme-email", c.Email}, {"--acme-cert-cache", c.Cache}, {"--acme-directory", c.Directory}, {"--acme-ca-file", c.CAFile},
		} {
			if f.value != "" {
				return cli.Usagef("%s needs --acme-hostnames", f.flag).Hint("name the hosts, or remove " + f.flag)
			}
		}
		return nil
	}
	if c.HTTPAddr != "" {
		if _, _, err := net.SplitHostPort(c.HTTPAddr); err != nil {
			return cli.Usagef("--acme-http-addr: %w", err).Hint("give a host and a port, such as :80")
		}
	}
	return nil
}

// Origin returns the URL that ACME host names imply, or "".
func (c *Config) Origin() string {
	if len(c.ACME.Hostnames) == 0 {
		return ""
	}
	return "https://" + c.ACME.Hostnames[0]
}

// HTTP01Addr returns the address for HTTP-01 challenges, or "".
func (c *Config) HTTP01Addr() string {
	if len(c.ACME.Hostnames) == 0 {
		return ""
	}
	return c.ACME.HTTPAddr
}

// Source is the source of the listener's certificates. The zero value has none.
type Source struct {
	files *Files
	acme  *ACME
}

// Open opens the source of a valid config. ACME certificates are stored in cache
// unless the config names a folder.
func Open(c Config, cache string, logger *slog.Logger) (s Source, err error) {
	switch {
	case c.Cert != "":
		if s.files, err = OpenFiles(c.Cert, c.Key, logger); err != nil {
			return s, cli.Usagef("--cert and --key: %w", err)
		}
	case len(c.ACME.Hostnames) > 0:
		if c.ACME.Cache == "" {
			c.ACME.Cache = cache
		}
		c.ACME.Logger = logger
		if s.acme, err = NewACME(c.ACME); err != nil {
			return s, cli.Usagef("--acme-hostnames: %w", err)
		}
	}
	return s, nil
}

// TLS returns the listener's configuration, or nil if TLS is disabled.
func (s Source) TLS() *tls.Config {
	switch {
	case s.files != nil:
		return s.files.TLS()
	case s.acme != nil:
		return s.acme.TLS()
	default:
		return nil
	}
}

// Reload reads the files again.
func (s Source) Reload() {
	if s.files != nil {
		s.files.Reload()
	}
}

// Check reads the files again if they have changed.
func (s Source) Check() {
	if s.files != nil {
		s.files.Check()
	}
}

// Start orders ACME certificates and answers challenges on http01, which may be
// nil. It returns at once; stop ends both and waits for them.
func (s Source) Start(http01 net.Listener, origin string, logger *slog.Logger) (stop func()) {
	if s.acme == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	if http01 != nil {
		srv := s.acme.HTTP01(origin, slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug))
		running.Go(func() {
			if err := srv.Serve(http01); !errors.Is(err, http.ErrServerClosed) {
				logger.Error("HTTP-01 challenges are no longer answered", "err", err)
			}
		})
		context.AfterFunc(ctx, func() { _ = srv.Close() })
	}
	running.Go(func() { s.acme.Keep(ctx) })
	return func() { cancel(); running.Wait() }
}
