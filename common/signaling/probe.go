package signaling

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
)

// The steps of a probe, in order. A probe leaves out the steps that a way does not
// need, and those after a failure.
const (
	StepName    = "name"    // the dialed name has an address
	StepConnect = "connect" // a server accepts TCP connections
	StepTLS     = "tls"     // its certificate is valid
	StepHTTP    = "http"    // a broker answers
	StepKeys    = "keys"    // it publishes the keys that sign grants
	StepClock   = "clock"   // its clock and this machine's agree
)

// Step is the result of one step.
type Step struct {
	Name string
	// Detail is what the step found, such as an address or a version.
	Detail string
	Took   time.Duration
	Err    error
}

// Probe is the result for one way.
type Probe struct {
	Way    Way
	Health *api.Health
	Steps  []Step
}

// Works reports whether a broker can be reached on the way. A wrong clock does not
// prevent that.
func (p *Probe) Works() bool {
	for _, s := range p.Steps {
		if s.Err != nil && s.Name != StepClock {
			return false
		}
	}
	return len(p.Steps) > 0
}

// ErrSkew is the error of StepClock.
var ErrSkew = errors.New("the clocks differ")

// Probe tries the ways separately, one after another, over fresh connections,
// with the same requests as jobs. It calls done with each result.
func (c *Client) Probe(ctx context.Context, done func(Probe)) {
	for _, route := range c.ways.routes {
		route.http.CloseIdleConnections()
		p := c.probe(ctx, route)
		if ctx.Err() != nil {
			return
		}
		if p.Works() {
			c.reached.Store(true)
			c.ways.offer(route)
		}
		done(p)
	}
}

// offer makes a way that works the current one, unless there is one already.
func (w *Ways) offer(r *route) {
	w.mu.Lock()
	taken := w.proven
	w.mu.Unlock()
	if !taken {
		w.worked(r, 0)
	}
}

func (c *Client) probe(ctx context.Context, route *route) Probe {
	p := Probe{Way: route.Way}
	t := &tracing{start: time.Now()}
	began := time.Now()
	resp, err := c.through(httptrace.WithClientTrace(ctx, t.hooks()), route, request{method: http.MethodGet, path: api.PathHealth})
	p.Steps = t.done()
	if err != nil {
		// If no step has failed, the response itself is wrong.
		if len(p.Steps) == 0 || p.Steps[len(p.Steps)-1].Err == nil {
			p.Steps = append(p.Steps, Step{Name: StepHTTP, Err: reason(err), Took: time.Since(began)})
		}
		return p
	}
	var health api.Health
	if err := json.Unmarshal(resp.body, &health); err != nil || health.Status == "" {
		p.Steps = append(p.Steps, Step{Name: StepHTTP, Err: &notBroker{text: "no broker answers there: its health is not as expected"}})
		return p
	}
	p.Health = &health
	p.Steps = append(p.Steps, Step{Name: StepHTTP, Detail: "a broker, " + strings.TrimSpace(health.Version+" "+health.Status), Took: time.Since(began)})
	began = time.Now()
	resp, err = c.through(ctx, route, request{method: http.MethodGet, path: api.PathJWKS})
	if err == nil {
		_, err = grant.ParsePublished(resp.body)
	}
	p.Steps = append(p.Steps, Step{Name: StepKeys, Err: reason(err), Took: time.Since(began)})
	clock := Step{Name: StepClock}
	if skew := c.Skew(); skew.Abs() > MaxSkew {
		clock.Err = ErrSkew
	}
	p.Steps = append(p.Steps, clock)
	return p
}

// reason returns an error without the broker's name.
func reason(err error) error {
	var u *Unreachable
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// tracing collects steps from httptrace's hooks, which several goroutines call.
type tracing struct {
	mu    sync.Mutex
	start time.Time
	steps []Step
}

// note adds a step, or replaces an earlier failure of it: with several addresses,
// one that works is enough.
func (t *tracing) note(name, detail string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Step{Name: name, Detail: detail, Err: err, Took: time.Since(t.start)}
	t.start = time.Now()
	for i, old := range t.steps {
		if old.Name == name {
			if old.Err != nil {
				t.steps[i] = s
			}
			return
		}
	}
	t.steps = append(t.steps, s)
}

func (t *tracing) done() []Step {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Step(nil), t.steps...)
}

func (t *tracing) hooks() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSDone: func(i httptrace.DNSDoneInfo) {
			var addresses []string
			for _, a := range i.Addrs {
				addresses = append(addresses, a.String())
			}
			if i.Err == nil && addresses == nil {
				i.Err = errors.New("it has no address")
			}
			t.note(StepName, strings.Join(addresses, ", "), i.Err)
		},
		ConnectDone: func(_, address string, err error) { t.note(StepConnect, address, err) },
		TLSHandshakeDone: func(s tls.ConnectionState, err error) {
			detail := ""
			if err == nil {
				detail = tls.VersionName(s.Version)
				if len(s.PeerCertificates) > 0 {
					detail += ", certificate until " + s.PeerCertificates[0].NotAfter.UTC().Format(time.DateOnly)
				}
			}
			t.note(StepTLS, detail, err)
		},
	}
}
