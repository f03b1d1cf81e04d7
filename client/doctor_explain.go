package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/common/amp"
	"github.com/farforge/farforge/common/signaling"
)

// describe puts what was found about a way into words.
func (c *doctorConfig) describe(p signaling.Probe, skew time.Duration) console.Way {
	title := map[string]string{signaling.LegDirect: "direct", signaling.LegFront: "front " + p.Way.Via, signaling.LegAMP: "AMP cache " + p.Way.Via}
	w := console.Way{Leg: p.Way.Leg, Via: p.Way.Via, Works: p.Works(), Title: title[p.Way.Leg], Steps: []console.Step{}}
	for _, s := range p.Steps {
		step := console.Step{Step: s.Name, OK: s.Err == nil, Detail: s.Detail, MS: s.Took.Milliseconds()}
		switch {
		case s.Err != nil:
			step.Detail, step.Hint = s.Err.Error(), c.advise(p.Way, s)
			if s.Name == signaling.StepClock {
				step.Detail, step.Hint = skewText(skew), "set this machine's clock; keys and tokens look expired that are not"
			}
		case s.Name == signaling.StepKeys:
			step.Detail = "it publishes what grants are verified with"
		case s.Name == signaling.StepClock:
			step.Detail = "it agrees with this machine's"
			if skew != 0 {
				step.Detail = skewText(skew)
			}
		}
		w.Steps = append(w.Steps, step)
	}
	return w
}

func skewText(ahead time.Duration) string {
	which := "behind"
	if ahead < 0 {
		which = "ahead of"
	}
	return fmt.Sprintf("this machine's is %v %s it", ahead.Abs().Round(time.Second), which)
}

// advise says what to do about a step that failed.
func (c *doctorConfig) advise(way signaling.Way, s signaling.Step) string {
	if s.Name == signaling.StepHTTP || s.Name == signaling.StepKeys {
		return adviseHTTP(way, s.Err)
	}
	if c.Reach.Proxy != "" && c.Reach.Proxy != "none" && s.Name != signaling.StepTLS {
		return "this is about the proxy " + c.Reach.Proxy + "; is it right?"
	}
	around := "try " + otherWays(way)
	switch s.Name {
	case signaling.StepName:
		return "is the name right? if others can resolve it, this network's DNS hides it: " + around
	case signaling.StepConnect:
		if errors.Is(s.Err, syscall.ECONNREFUSED) {
			return "nothing listens there, or a firewall refuses; is the port right, does the broker run? else " + around
		}
		return "packets get lost, as behind a firewall; is the port right? else " + around
	default:
		return adviseTLS(way, s.Err, around)
	}
}

func adviseTLS(way signaling.Way, err error, around string) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return "for a private authority give --ca-file; if the certificate should be a public one, something in between reads along"
	case errors.As(err, &name):
		if way.Leg == signaling.LegDirect {
			return "it is the certificate of another site; is the URL right, or does the network send everybody to a login page?"
		}
		return "it is the certificate of another site; is the front's name right?"
	case errors.As(err, &invalid):
		return "is this machine's clock right? else the operator has to renew the certificate"
	case errors.As(err, &record):
		return "it does not speak TLS there; is the port right?"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), timedOut(err):
		return "the handshake is cut off, as by a filter that looks for names or for programs that are no browser: " + around + ", or --utls-imitate"
	}
	return around
}

func adviseHTTP(way signaling.Way, err error) string {
	var cache *amp.CacheError
	var long *amp.TooLong
	text := err.Error()
	switch {
	case errors.As(err, &long):
		return "use another way"
	case errors.As(err, &cache):
		return "does the cache serve the broker's site? it has to be reachable from the internet by its own URL"
	case strings.Contains(text, "421"):
		return "this network compares the request's host with the handshake's, or does not have the broker: it cannot serve as its front"
	case way.Leg == signaling.LegFront:
		return "the front does not pass requests on to the broker; it has to be of the network that the broker is on"
	case timedOut(err):
		return "the connection is there, but nothing comes back; is the broker overloaded, or does something hold its data back?"
	}
	return "something else answers at this URL; is it right, or does the network send everybody to a login page?"
}

func timedOut(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// otherWays are the flags that may help where a way is blocked.
func otherWays(way signaling.Way) string {
	switch way.Leg {
	case signaling.LegDirect:
		return "--front, --ampcache or --proxy"
	case signaling.LegFront:
		return "another --front, or --ampcache"
	default:
		return "another --ampcache or --ampcache-front"
	}
}
