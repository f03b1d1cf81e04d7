package rendezvous

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

const (
	connectTimeout = 10 * time.Second
	// slack is how much longer than its wait a request may take.
	slack = 10 * time.Second
)

// Config is how to reach a broker.
type Config struct {
	// URL is the broker's, such as https://broker.example.org.
	URL string
	// Wait is how long the broker may hold a poll or an offer; 0 is api.MaxWait.
	// It has whole seconds.
	Wait time.Duration
	// Token returns the bearer token for grant requests: an access key, an OIDC
	// token, or what UserSession gives. Nil asks as nobody in particular.
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
	http   *http.Client
	token  func(context.Context) (string, error)
	clock  clock
	// reached is set once something there has answered as a broker does.
	reached atomic.Bool
}

// New returns a client. It does not connect yet; only a bad Config is an
// error.
func New(cfg Config) (*Client, error) {
	origin, err := identity.Origin(cfg.URL)
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(strings.TrimSuffix(cfg.URL, "/"))
	if err != nil {
		return nil, fmt.Errorf("broker URL: %w", err)
	}
	if base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("broker URL: %q has a query or a fragment", cfg.URL)
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
	return &Client{
		base: base, origin: origin, wait: cfg.Wait, agent: cfg.UserAgent, log: cfg.Logger, token: cfg.Token,
		http: &http.Client{
			Transport: &http.Transport{
				Proxy:                 http.ProxyFromEnvironment,
				DialContext:           (&net.Dialer{Timeout: connectTimeout}).DialContext,
				TLSHandshakeTimeout:   connectTimeout,
				ResponseHeaderTimeout: cfg.Wait + slack,
				IdleConnTimeout:       90 * time.Second,
				MaxIdleConnsPerHost:   8,
				ForceAttemptHTTP2:     true,
			},
			// A token must not follow a redirect to somebody else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Origin returns the broker's origin as identity.Origin spells it.
func (c *Client) Origin() string { return c.origin }

// Loopback tells whether the broker is addressed on this very machine.
func (c *Client) Loopback() bool {
	host := c.base.Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Unreachable is the error for a broker that did not answer, or not as a broker
// does.
type Unreachable struct {
	URL string
	Err error
}

func (u *Unreachable) Error() string {
	return fmt.Sprintf("cannot reach the broker at %s: %v", u.URL, u.Err)
}

func (u *Unreachable) Unwrap() error { return u.Err }

// request is one exchange with the broker.
type request struct {
	method, path string
	token        string
	contentType  string
	body         []byte
	waits        bool // the broker may hold it
}

// response is what came back, with a status below 300.
type response struct {
	status     int
	header     http.Header
	body       []byte
	retryAfter time.Duration
}

func (c *Client) do(ctx context.Context, r request) (*response, error) {
	limit := slack
	target := *c.base
	target.Path += r.path
	if r.waits {
		limit += c.wait
		target.RawQuery = url.Values{api.WaitParam: {strconv.Itoa(int(c.wait / time.Second))}}.Encode()
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(bounded, r.method, target.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	if c.agent != "" {
		req.Header.Set("User-Agent", c.agent)
	}
	sent := time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, api.MaxBody+1))
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if len(body) > api.MaxBody {
		return nil, &Unreachable{URL: c.origin, Err: fmt.Errorf("its response is longer than %d bytes", api.MaxBody)}
	}
	c.clock.learn(resp.Header, sent, time.Now(), r.waits)
	if resp.StatusCode >= 300 {
		return nil, c.refused(resp, body)
	}
	return &response{status: resp.StatusCode, header: resp.Header, body: body, retryAfter: retryAfter(resp.Header)}, nil
}

// unreachable tells the caller's own end of patience from the network's.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// net/http repeats method and URL in front of the reason.
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	return &Unreachable{URL: c.origin, Err: err}
}

// refused makes a Problem of a response with an error status. One that no
// broker wrote, such as a proxy's error page, is Unreachable.
func (c *Client) refused(resp *http.Response, body []byte) error {
	var p api.Problem
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind != api.TypeProblem || json.Unmarshal(body, &p) != nil || p.Code == "" {
		return &Unreachable{URL: c.origin, Err: fmt.Errorf("what answers there is no broker: %s", resp.Status)}
	}
	c.reached.Store(true)
	p.Status = resp.StatusCode
	if after := retryAfter(resp.Header); after > 0 {
		p.RetryAfter = int(after / time.Second)
	}
	return &p
}

// retryAfter reads the header's form in seconds; our brokers send no dates.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 0 || n > 3600 {
		return 0
	}
	return time.Duration(n) * time.Second
}

// call exchanges JSON. out may be nil.
func (c *Client) call(ctx context.Context, path, token string, waits bool, in, out any) (*response, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("POST %s: %w", path, err)
	}
	resp, err := c.do(ctx, request{method: http.MethodPost, path: path, token: token, contentType: api.TypeJSON, body: body, waits: waits})
	if err != nil {
		return nil, err
	}
	if out != nil && resp.status != http.StatusNoContent {
		if err := json.Unmarshal(resp.body, out); err != nil {
			return nil, &Unreachable{URL: c.origin, Err: fmt.Errorf("its response to %s is not as expected: %w", path, err)}
		}
	}
	c.reached.Store(true)
	return resp, nil
}

// forJob puts a job id into one of the signaling paths.
func forJob(path, jobID string) string {
	return strings.Replace(path, "{job_id}", url.PathEscape(jobID), 1)
}
