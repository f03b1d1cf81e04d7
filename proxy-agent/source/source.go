// Package source fetches a project that a client names instead of uploading
// it: an archive, by URL and SHA-256.
//
// The agent trusts neither the client nor the server: they must not reach the
// agent's own network through it, nor fill its disk.
//
//	reference   https, a host that the operator allows, a known   reference.go
//	            kind of archive, a SHA-256
//	addresses   of the host, as resolved for this connection:     address.go
//	            only public unicast
//	download    bounded in size and time; every redirect is judged  download.go
//	            like the first URL; to a file, hashed on the way
//	unpack      first all paths, by the rules for uploads; only     unpack.go
//	            then contents, through an os.Root                   tar.go zip.go
//
// The agent fetches; the build in its sandbox still has no network.
//
// Errors for the client to read are *channel.Problem.
package source

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/farforge/farforge/common/channel"
)

// Defaults of a Config.
const (
	DefaultMaxSize = 256 << 20 // bytes
	defaultTime    = 5 * time.Minute
)

// archiveName is the archive's file in the scratch directory.
const archiveName = "archive"

// Config is what the operator allows.
type Config struct {
	// Hosts are the names that may be fetched from, each with a port unless it
	// is 443. None: nothing is fetched.
	Hosts []string
	// MaxSize bounds an archive, in bytes; 0 is DefaultMaxSize.
	MaxSize int64
	// MaxUnpacked bounds the contents, in bytes; 0 is as much as may be
	// uploaded.
	MaxUnpacked int64
	// Time bounds the download; 0 is five minutes.
	Time time.Duration

	// Loopback and RootCAs are for tests, whose server is on this machine with a
	// certificate of its own.
	Loopback bool
	RootCAs  *x509.CertPool
}

// Fetcher fetches projects. It is safe for concurrent use.
type Fetcher struct {
	cfg   Config
	hosts map[string]bool // "host:port"
}

// New returns a fetcher. A host that is spelled wrong is an error.
func New(cfg Config) (*Fetcher, error) {
	if cfg.MaxSize == 0 {
		cfg.MaxSize = DefaultMaxSize
	}
	if cfg.MaxUnpacked == 0 {
		cfg.MaxUnpacked = channel.MaxTreeSize
	}
	if cfg.Time == 0 {
		cfg.Time = defaultTime
	}
	f := &Fetcher{cfg: cfg, hosts: map[string]bool{}}
	for _, host := range cfg.Hosts {
		address, err := parseHost(host)
		if err != nil {
			return nil, err
		}
		f.hosts[address] = true
	}
	return f, nil
}

// Fetch puts the project that ref names into the directory into, which must be
// empty, and returns its manifest. The archive is kept in scratch meanwhile and
// left to the caller to remove.
func (f *Fetcher) Fetch(ctx context.Context, ref *channel.Source, scratch, into *os.Root) (*channel.Manifest, error) {
	r, err := f.parse(ref)
	if err != nil {
		return nil, err
	}
	archive, err := scratch.OpenFile(archiveName, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keep the archive: %w", err)
	}
	defer archive.Close() // its contents do not outlive the job anyway
	size, err := f.download(ctx, r, archive)
	if err != nil {
		return nil, because(ctx, err)
	}
	u := &unpacking{ctx: ctx, archive: archive, size: size, format: r.format, strip: ref.StripComponents, limit: f.cfg.MaxUnpacked}
	m, err := u.into(into)
	if err != nil {
		return nil, because(ctx, err)
	}
	return m, nil
}

// because returns the context's error if that is why something failed.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func refuse(format string, args ...any) *channel.Problem {
	return &channel.Problem{Code: channel.ProblemSource, Message: fmt.Sprintf(format, args...)}
}

func tooLarge(format string, args ...any) *channel.Problem {
	return &channel.Problem{Code: channel.ProblemSizeLimit, Message: fmt.Sprintf(format, args...)}
}

// asProblem returns the problem that err wraps, or nil.
func asProblem(err error) *channel.Problem {
	var p *channel.Problem
	errors.As(err, &p)
	return p
}
