package signaling

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/farforge/farforge/common/api"
)

const (
	connectTimeout = 10 * time.Second
	// slack is how much longer than its wait a request may take.
	slack = 10 * time.Second
	// A broker counts as silent after this time without an answer: silence for a
	// request that it does not hold, and heldSilence beyond the requested wait for
	// one that it holds.
	silence, heldSilence = time.Second, 5 * time.Second
)

// request is one exchange with the broker.
type request struct {
	method, path string
	token        string
	contentType  string
	body         []byte
	waits        bool          // the broker may hold it
	most         time.Duration // for at most so long; 0 is the usual wait
	query        url.Values
}

// response is a response with a status below 300.
type response struct {
	status     int
	header     http.Header
	body       []byte
	retryAfter time.Duration
}

// do sends the request on the way that worked last and, where no broker
// answers on it, on the others. So a request may be repeated, as it is when a
// response is lost.
func (c *Client) do(ctx context.Context, r request) (*response, error) {
	var failed failures
	for _, route := range c.ways.order(r.waits) {
		resp, err := c.through(ctx, route, r)
		var u *Unreachable
		if !errors.As(err, &u) {
			if ctx.Err() == nil {
				c.ways.worked(route, len(failed))
			}
			return resp, err
		}
		if ctx.Err() != nil {
			return nil, err
		}
		failed = append(failed, failure{route.Way, u})
	}
	return nil, failed.unreachable(c.origin)
}

// through sends the request on one way.
func (c *Client) through(ctx context.Context, route *route, r request) (*response, error) {
	limit, wait := slack, time.Duration(0)
	target := *c.base
	target.Path += r.path
	query := maps.Clone(r.query)
	if r.waits {
		if query == nil {
			query = url.Values{}
		}
		wait = min(c.wait, route.allows())
		if r.most > 0 {
			wait = min(wait, r.most)
		}
		limit += wait
		query.Set(api.WaitParam, strconv.Itoa(int(wait/time.Second)))
	}
	target.RawQuery = query.Encode()
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var p progress
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(bounded, p.hooks()), r.method, target.String(), bytes.NewReader(r.body))
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
	var body []byte
	if err == nil {
		defer resp.Body.Close()
		body, err = io.ReadAll(io.LimitReader(resp.Body, api.MaxBody+1))
	}
	if err == nil {
		if len(body) > api.MaxBody {
			err = fmt.Errorf("its response is longer than %d bytes", api.MaxBody)
		} else {
			err = c.judge(resp, body)
		}
	}
	var problem *api.Problem
	switch {
	case err == nil, errors.As(err, &problem):
		c.clock.learn(resp.Header, sent, time.Now(), r.waits)
		if r.waits {
			route.answered(p.held())
		}
		if err != nil {
			return nil, err
		}
		return &response{status: resp.StatusCode, header: resp.Header, body: body, retryAfter: retryAfter(resp.Header)}, nil
	case ctx.Err() != nil:
		return nil, c.interrupted(ctx, sent, wait)
	}
	if r.waits && bounded.Err() == nil {
		route.cut(p.held())
	}
	return nil, c.unreachable(route, &p, wait, err)
}

// interrupted returns the error of a request that ended with its context. It
// names a broker that was silent.
func (c *Client) interrupted(ctx context.Context, sent time.Time, wait time.Duration) error {
	quiet := time.Since(sent) - wait
	if wait == 0 && quiet < silence || wait > 0 && quiet < heldSilence {
		return ctx.Err()
	}
	return &Unreachable{
		URL: c.origin, Err: fmt.Errorf("it has not answered for %v: %w", (quiet + wait).Round(time.Second), ctx.Err()),
		Hints: []string{adviseHTTP(Way{Leg: LegDirect}, context.DeadlineExceeded)},
	}
}

// unreachable returns the error of a request that no broker answered.
func (c *Client) unreachable(route *route, p *progress, wait time.Duration, err error) *Unreachable {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err // net/http repeats method and URL before the reason
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("it does not answer: %w", err)
	}
	step := Step{Name: steps[p.step.Load()], Err: err}
	return &Unreachable{
		URL: c.origin, Err: err, Hints: []string{step.Advice(route.Way, c.ways.proxy)},
		Permanent: permanent(err) && !c.reached.Load(), held: min(p.held(), wait),
	}
}

// judge returns nil for a response of a broker, its *api.Problem, or a
// *notBroker.
func (c *Client) judge(resp *http.Response, body []byte) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode < 300 {
		if kind == "text/html" {
			return &notBroker{text: "no broker answers there, but a web page"}
		}
		return nil
	}
	var p api.Problem
	if kind != api.TypeProblem || json.Unmarshal(body, &p) != nil || p.Code == "" {
		return foreign(c.base, resp, body)
	}
	if p.Code == api.CodeNotFound && c.base.Path != "" {
		return &notBroker{
			text: fmt.Sprintf("a broker answers there, but not below the path %s", c.base.Path),
			hint: "leave the path out of the URL:  --url " + c.origin,
		}
	}
	c.reached.Store(true)
	p.Status = resp.StatusCode
	if after := retryAfter(resp.Header); after > 0 {
		p.RetryAfter = int(after / time.Second)
	}
	p.RetryAfter = min(max(p.RetryAfter, 0), int(maxRetryAfter/time.Second))
	return &p
}

// maxRetryAfter bounds the pause that a broker can ask for. It applies to the
// header and to the member of a problem.
const maxRetryAfter = time.Hour

// retryAfter reads the header's form in seconds; our brokers send no dates.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.ParseUint(h.Get("Retry-After"), 10, 31)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, maxRetryAfter)
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
			return nil, c.unexpected("response to "+path, err)
		}
	}
	c.reached.Store(true)
	return resp, nil
}

// unexpected returns the error of a response that breaks the protocol.
func (c *Client) unexpected(what string, err error) *Unreachable {
	return &Unreachable{URL: c.origin, Err: fmt.Errorf("its %s is not as expected: %w", what, err), Hints: []string{"check the URL, and that client, agent and broker are of the same release"}}
}

// forJob puts a job id into one of the signaling paths.
func forJob(path, jobID string) string {
	return strings.Replace(path, "{job_id}", url.PathEscape(jobID), 1)
}
