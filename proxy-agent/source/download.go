package source

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/nat"
)

const (
	maxRedirects = 5
	stepTime     = 30 * time.Second // to connect, to shake hands, to begin the response
	maxHeader    = 64 << 10
)

// download writes the archive to file and checks its hash. It returns its size.
func (f *Fetcher) download(ctx context.Context, r *reference, file *os.File) (int64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, f.cfg.Time, refuse("the source could not be fetched in %v", f.cfg.Time))
	defer cancel()
	req := (&http.Request{Method: http.MethodGet, URL: r.url, Header: http.Header{"User-Agent": {"farforge-proxy-agent"}}}).WithContext(ctx)
	client := f.client()
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return 0, f.failed(ctx, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode != http.StatusOK:
		return 0, refuse("%s answered %d (%s) instead of the source", resp.Request.URL.Host, resp.StatusCode, http.StatusText(resp.StatusCode))
	case resp.ContentLength > f.cfg.MaxSize:
		return 0, tooLarge("the source is %d bytes long, this agent fetches at most %d (--source-max-size)", resp.ContentLength, f.cfg.MaxSize)
	}
	h := sha256.New()
	n, err := io.Copy(&target{file: file, also: h}, io.LimitReader(resp.Body, f.cfg.MaxSize+1))
	var disk *diskError
	switch {
	case errors.As(err, &disk):
		return 0, err
	case err != nil, ctx.Err() != nil: // after a hang-up the body may still seem complete
		return 0, f.failed(ctx, err)
	case n > f.cfg.MaxSize:
		return 0, tooLarge("the source is longer than the %d bytes that this agent fetches (--source-max-size)", f.cfg.MaxSize)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != r.sha256 {
		return 0, &channel.Problem{
			Code:    channel.ProblemContent,
			Message: fmt.Sprintf("the source has the SHA-256 %s, not %s", got, r.sha256),
			Hints:   []string{"check the hash: the archive has changed, or the hash is that of another version"},
		}
	}
	return n, nil
}

// client makes a client for one download. It uses no proxy, because a proxy would
// resolve names itself, and the agent could not judge the addresses.
func (f *Fetcher) client() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: stepTime, Control: f.control}).DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: f.cfg.RootCAs},
			TLSHandshakeTimeout:    stepTime,
			ResponseHeaderTimeout:  stepTime,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true, // the hash is that of the stored bytes
			DisableKeepAlives:      true,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return refuse("the source is behind more than %d redirects", maxRedirects)
			}
			req.Header.Del("Referer") // the URL may hold a secret
			return f.check(req.URL)
		},
	}
}

// failed turns a network error into a problem.
func (f *Fetcher) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if p := asProblem(err); p != nil {
		return p
	}
	// net/http repeats method and URL in front of the reason.
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	return refuse("the source could not be fetched: %v", err)
}

// target writes to the file and to the hash.
type target struct {
	file *os.File
	also io.Writer
}

// diskError is an error of this machine, not of the network.
type diskError struct{ error }

func (t *target) Write(p []byte) (int, error) {
	if n, err := t.file.Write(p); err != nil {
		return n, &diskError{fmt.Errorf("keep the archive: %w", err)}
	}
	return t.also.Write(p)
}

// control checks the address of each connection just before it is made. So it
// sees every result of a name's resolution.
func (f *Fetcher) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("check the address %s: %w", address, err)
	}
	if nat.Public(at.Addr()) || (f.cfg.Loopback && at.Addr().IsLoopback()) {
		return nil
	}
	return refuse("the source's host is at %s, which is not a public address; the agent does not fetch from there", at.Addr())
}
