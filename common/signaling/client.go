// Package signaling is the HTTP client to a broker, for clients and agents. It
// speaks the protocol that common/api defines and nothing more.
//
// Every method is one bounded request unless its comment says that it repeats.
// Errors are of two kinds, both found by errors.As:
//
//   - *api.Problem: the broker answered, and this is its answer.
//   - *Unreachable: no broker answered. Its hints say what to do.
//
// [Retryable] decides whether a request is worth another try, and [Backoff] how
// long to wait before it.
package signaling

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// Config says how to reach a broker.
type Config struct {
	// URL is the broker's, such as https://broker.example.org.
	URL string
	// Wait is how long the broker may hold a poll or an offer; 0 is api.MaxWait.
	// It has whole seconds.
	Wait time.Duration
	// Ways are how to get there; nil is directly. Close closes them.
	Ways *Ways
	// Token returns the bearer token for grant requests: an access key, an OIDC
	// token, or a session of UserSession. Nil sends none.
	Token func(context.Context) (string, error)
	// UserAgent names the program and its version.
	UserAgent string
	// Logger gets retries; nil discards them.
	Logger *slog.Logger
}

// Client talks to one broker. It is safe for concurrent use.
type Client struct {
	base   *url.URL
	origin string
	wait   time.Duration
	agent  string
	log    *slog.Logger
	ways   *Ways
	token  func(context.Context) (string, error)
	clock  clock
	// reached is set once a broker has answered.
	reached atomic.Bool
}

// New returns a client. It does not connect yet; only a bad Config is an
// error.
func New(cfg Config) (*Client, error) {
	base, origin, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.Wait == 0 {
		cfg.Wait = api.MaxWait
	}
	if cfg.Wait < time.Second || cfg.Wait > api.MaxWait || cfg.Wait%time.Second != 0 {
		return nil, fmt.Errorf("wait: %v is not between 1s and %v in whole seconds", cfg.Wait, api.MaxWait)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Ways == nil {
		if cfg.Ways, err = NewWays(cfg.URL, Reach{}, nil, cfg.Logger); err != nil {
			return nil, err
		}
	}
	if cfg.Ways.origin != origin {
		return nil, fmt.Errorf("the ways lead to %s, not to %s", cfg.Ways.origin, origin)
	}
	return &Client{base: base, origin: origin, wait: cfg.Wait, agent: cfg.UserAgent, log: cfg.Logger, token: cfg.Token, ways: cfg.Ways}, nil
}

// parseURL returns a broker's URL, with the host as its origin spells it, and
// the origin.
func parseURL(raw string) (base *url.URL, origin string, err error) {
	if origin, err = identity.Origin(raw); err != nil {
		return nil, "", err
	}
	if base, err = url.Parse(strings.TrimSuffix(raw, "/")); err != nil {
		return nil, "", fmt.Errorf("broker URL: %w", err)
	}
	if base.RawQuery != "" || base.Fragment != "" {
		return nil, "", fmt.Errorf("broker URL: %q has a query or a fragment", raw)
	}
	spelled, err := url.Parse(origin)
	if err != nil {
		return nil, "", fmt.Errorf("broker URL: %w", err)
	}
	base.Host = spelled.Host
	return base, origin, nil
}

// ErrPlainHTTP is the error of a URL that would show secrets to the network.
var ErrPlainHTTP = errors.New("tokens would go to the broker over plain HTTP, readable for the network")

// checkPlain refuses plain HTTP to another machine unless it is allowed.
func checkPlain(base *url.URL, allowed bool) error {
	if base.Scheme != "http" || allowed || onLoopback(base) {
		return nil
	}
	return fmt.Errorf("%w; use https, or --allow-plain-http in a network that you trust", ErrPlainHTTP)
}

// Origin returns the broker's origin as identity.Origin spells it.
func (c *Client) Origin() string { return c.origin }

// Loopback reports whether the broker is addressed on this very machine.
func (c *Client) Loopback() bool { return onLoopback(c.base) }

func onLoopback(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || (ip != nil && ip.IsLoopback()) // RFC 6761, section 6.3
}

// Way returns how the broker is reached, once it has been.
func (c *Client) Way() (Way, bool) { return c.ways.Current() }

// Close closes idle connections.
func (c *Client) Close() { c.ways.Close() }
