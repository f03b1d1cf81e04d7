package signaling

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
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
	// Ways are how to get there; nil is directly. Close closes them.
	Ways *Ways
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
	ways   *Ways
	token  func(context.Context) (string, error)
	clock  clock
	// reached is set once something there has answered as a broker does.
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

// parseURL returns a broker's URL and its origin.
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
	return base, origin, nil
}

// Origin returns the broker's origin as identity.Origin spells it.
func (c *Client) Origin() string { return c.origin }

// Loopback tells whether the broker is addressed on this very machine.
func (c *Client) Loopback() bool {
	host := strings.ToLower(c.base.Hostname())
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || (ip != nil && ip.IsLoopback()) // RFC 6761, section 6.3
}

// Way returns how the broker is reached, once it has been.
func (c *Client) Way() (Way, bool) { return c.ways.Current() }

// Close closes idle connections.
func (c *Client) Close() { c.ways.Close() }

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
	waits        bool          // the broker may hold it
	most         time.Duration // for so long, if that is less than usual; 0 is as usual
	query        url.Values
}

// response is what came back, with a status below 300.
type response struct {
	status     int
	header     http.Header
	body       []byte
	retryAfter time.Duration
}

// do sends the request on the way that worked last and, where no broker
// answers on it, on the others. Requests may be repeated so: that is no more
// than what happens when a response is lost.
func (c *Client) do(ctx context.Context, r request) (*response, error) {
	var failed failures
	for _, route := range c.ways.order(r.waits) {
		began := time.Now()
		resp, err := c.through(ctx, route, r)
		var u *Unreachable
		if !errors.As(err, &u) {
			if ctx.Err() == nil {
				c.ways.worked(route, len(failed))
			}
			return resp, err
		}
		if r.waits {
			route.cut(time.Since(began))
		}
		failed = append(failed, failure{route.Way, u.Err})
	}
	if len(failed) == 1 {
		return nil, &Unreachable{URL: c.origin, Err: failed[0].err}
	}
	return nil, &Unreachable{URL: c.origin, Err: failed}
}

// through sends the request on one way.
func (c *Client) through(ctx context.Context, route *route, r request) (*response, error) {
	limit := slack
	target := *c.base
	target.Path += r.path
	query := maps.Clone(r.query)
	if r.waits {
		if query == nil {
			query = url.Values{}
		}
		wait := min(c.wait, time.Duration(route.wait.Load())*time.Second)
		if r.most > 0 {
			wait = min(wait, r.most)
		}
		limit += wait
		query.Set(api.WaitParam, strconv.Itoa(int(wait/time.Second)))
	}
	target.RawQuery = query.Encode()
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
	resp, err := route.http.Do(req)
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
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "text/html" {
		return nil, &Unreachable{URL: c.origin, Err: errors.New("what answers there is no broker: it sends a web page")}
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

// failure is why no broker answered on a way.
type failure struct {
	way Way
	err error
}

// failures is the error when none did on any.
type failures []failure

func (f failures) Error() string {
	var texts []string
	for _, one := range f {
		texts = append(texts, one.way.String()+": "+one.err.Error())
	}
	return strings.Join(texts, "; ")
}

func (f failures) Unwrap() []error {
	var all []error
	for _, one := range f {
		all = append(all, one.err)
	}
	return all
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
