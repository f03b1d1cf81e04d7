package signaling

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	utls "github.com/refraction-networking/utls"

	"github.com/farforge/farforge/common/amp"
)

// Unreachable is the error for a broker that did not answer, or not as a broker
// does.
type Unreachable struct {
	URL string
	Err error
	// Hints say what the user can do.
	Hints []string
	// Permanent reports that the same request would fail again until a person
	// changes something: the URL, a certificate, a clock. It is false for a
	// broker that has answered before.
	Permanent bool

	// held is how long the broker had the request before the connection broke.
	held time.Duration
}

func (u *Unreachable) Error() string {
	return fmt.Sprintf("cannot reach the broker at %s: %v", u.URL, u.Err)
}

func (u *Unreachable) Unwrap() error { return u.Err }

// failure is the reason why no broker answered on a way.
type failure struct {
	way Way
	err *Unreachable
}

// failures is the error when none answered on any way.
type failures []failure

func (f failures) Error() string {
	var texts []string
	for _, one := range f {
		texts = append(texts, one.way.String()+": "+one.err.Err.Error())
	}
	return strings.Join(texts, "; ")
}

func (f failures) Unwrap() []error {
	var all []error
	for _, one := range f {
		all = append(all, one.err.Err)
	}
	return all
}

// unreachable joins the failures on all ways. They are permanent together only.
func (f failures) unreachable(origin string) *Unreachable {
	if len(f) == 1 {
		return f[0].err
	}
	u := &Unreachable{URL: origin, Err: f, Permanent: true}
	for _, one := range f {
		u.Permanent = u.Permanent && one.err.Permanent
		u.held = max(u.held, one.err.held)
		for _, hint := range one.err.Hints {
			if !slices.Contains(u.Hints, hint) {
				u.Hints = append(u.Hints, hint)
			}
		}
	}
	return u
}

// notBroker is the error of a response that no broker has written.
type notBroker struct {
	text string
	// hint replaces the general advice.
	hint string
	// passing: a proxy in front of a broker answers so while the broker is away.
	passing bool
}

func (e *notBroker) Error() string { return e.text }

// foreign makes the error of a response with an error status that is not a
// problem document of a broker.
func foreign(base *url.URL, resp *http.Response, body []byte) *notBroker {
	e := &notBroker{text: "no broker answers there: " + resp.Status}
	to, _ := resp.Location()
	switch {
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusRequestTimeout, resp.StatusCode >= 500:
		e.passing = true
	case to != nil && to.Scheme == "https" && base.Scheme == "http" && strings.EqualFold(to.Hostname(), base.Hostname()):
		e.text, e.hint = "the server there redirects to https", "use https:  --url https://"+to.Host+strings.TrimSuffix(base.Path, "/")
	case base.Scheme == "http" && resp.StatusCode == http.StatusBadRequest && strings.Contains(string(body), "HTTPS"):
		e.text, e.hint = "the server there speaks TLS", "use https:  --url https://"+base.Host
	}
	return e
}

// progress follows one request by httptrace. Its hooks run on several
// goroutines.
type progress struct {
	step    atomic.Int32 // the furthest step that has begun, an index of steps
	written atomic.Int64 // when the request was written whole, in Unix nanoseconds
}

var steps = [...]string{StepName, StepConnect, StepTLS, StepHTTP}

func (p *progress) reach(step int32) {
	for {
		old := p.step.Load()
		if old >= step || p.step.CompareAndSwap(old, step) {
			return
		}
	}
}

func (p *progress) hooks() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		ConnectStart:      func(string, string) { p.reach(1) },
		TLSHandshakeStart: func() { p.reach(2) },
		GotConn:           func(httptrace.GotConnInfo) { p.reach(3) },
		WroteRequest: func(i httptrace.WroteRequestInfo) {
			if i.Err == nil {
				p.written.Store(time.Now().UnixNano())
			}
		},
	}
}

// held returns how long the other side has had the request.
func (p *progress) held() time.Duration {
	at := p.written.Load()
	if at == 0 {
		return 0
	}
	return time.Since(time.Unix(0, at))
}

// permanent reports whether an error stays the same until a person does
// something about it.
func permanent(err error) bool {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var foreign *notBroker
	var long *amp.TooLong
	if errors.As(err, &foreign) {
		return !foreign.passing
	}
	return errors.As(err, &unknown) || errors.As(err, &name) || errors.As(err, &invalid) || errors.As(err, &long) || noTLS(err) || noHTTP(err)
}

// noTLS reports whether the other side does not speak TLS.
func noTLS(err error) bool {
	var record tls.RecordHeaderError
	var imitated utls.RecordHeaderError
	return errors.As(err, &record) || errors.As(err, &imitated) || errors.Is(err, http.ErrSchemeMismatch)
}

// noHTTP reports whether the other side does not speak HTTP. The error of
// net/http for that has no type.
func noHTTP(err error) bool { return strings.Contains(err.Error(), "malformed HTTP") }

// tlsAlert is how an answer begins that a TLS server gives to a request in
// clear, as net/http's error quotes it.
const tlsAlert = `malformed HTTP response "\x15\x03`

// Advice returns what to do about a step that failed on a way. proxy is the
// proxy that was configured.
func (s Step) Advice(way Way, proxy string) string {
	var foreign *notBroker
	if errors.As(s.Err, &foreign) && foreign.hint != "" {
		return foreign.hint
	}
	around := "try " + otherWays(way)
	switch {
	case s.Name == StepHTTP, s.Name == StepKeys:
		return adviseHTTP(way, s.Err)
	case s.Name == StepTLS:
		return adviseTLS(way, s.Err, around)
	case proxy != "" && proxy != "none":
		return "check the proxy " + proxy
	case s.Name == StepName:
		return "check the URL: no such name; if others can resolve it, this network's DNS hides it: " + around
	case errors.Is(s.Err, syscall.ECONNREFUSED):
		return "check the URL and that the broker runs: nothing listens at that port, or a firewall refuses; else " + around
	}
	return "check the URL: packets are lost, as behind a firewall; else " + around
}

func adviseTLS(way Way, err error, around string) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return "for a private authority give --ca-file; if the certificate should be a public one, a proxy may be intercepting TLS"
	case errors.As(err, &name) && way.Leg == LegDirect:
		return "check the URL: the certificate is that of another site; the network may also redirect all requests to a login page"
	case errors.As(err, &name):
		return "check the front's name: the certificate is that of another site"
	case errors.As(err, &invalid):
		return "check this machine's clock; if it is right, the operator has to renew the certificate"
	case noTLS(err):
		return "check the port: the server there does not speak TLS"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), timedOut(err):
		return around + ", or --utls-imitate: the handshake is cut off, as by a filter of names or of programs other than browsers"
	}
	return around
}

func adviseHTTP(way Way, err error) string {
	var cache *amp.CacheError
	var long *amp.TooLong
	text := err.Error()
	switch {
	case errors.As(err, &long):
		return "use another way"
	case errors.As(err, &cache):
		return "check that the cache serves the broker's site, which has to be reachable from the internet by its own URL"
	case strings.Contains(text, "421"):
		return "use another front: this network compares the request's host with the handshake's, or does not serve the broker"
	case way.Leg == LegFront:
		return "use another front: this one does not pass requests on to the broker; it has to belong to the network that serves the broker"
	case strings.Contains(text, tlsAlert):
		return "use https: the server there speaks TLS"
	case noHTTP(err):
		return "check the port: the server there does not speak HTTP"
	case timedOut(err):
		return "try again later: the connection works, but no response arrives; the broker may be overloaded"
	}
	return "check the URL: something else answers there; the network may also redirect all requests to a login page"
}

func timedOut(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// otherWays returns the flags that may help where a way is blocked.
func otherWays(way Way) string {
	switch way.Leg {
	case LegDirect:
		return "--front, --ampcache or --proxy"
	case LegFront:
		return "another --front, or --ampcache"
	default:
		return "another --ampcache or --ampcache-front"
	}
}
