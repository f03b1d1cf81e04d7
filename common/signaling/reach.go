package signaling

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"slices"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/front"
)

// The legs: kinds of ways to a broker.
const (
	LegDirect = "direct" // to its own name
	LegFront  = "front"  // to a name that hides it; see common/front
	LegAMP    = "amp"    // through an AMP cache; see common/amp
)

// Reach says how to reach a broker. The zero value connects directly.
type Reach struct {
	// Legs are tried in this order. Empty means the fronts if there are any, then
	// the cache if there is one, and the direct way only without both, because it
	// would show the broker's name.
	Legs []string
	// Fronts are HOST or HOST:PORT, tried in random order.
	Fronts []string
	// AMPCache is the URL of an AMP cache. The client dials the cache's own name or
	// one of AMPFronts, never the name that the cache has for the broker.
	AMPCache  string
	AMPFronts []string
	// Imitate is a name of [front.Names].
	Imitate string
	// Proxy is for [front.Proxy].
	Proxy string
	// CAFile has CA certificates in PEM form to trust besides the system's.
	CAFile string
	// AllowPlainHTTP lets tokens go to another machine over plain HTTP.
	AllowPlainHTTP bool
	// File remembers the way that worked, for the next process; empty remembers
	// nothing.
	File string
}

// Register defines the flags, the same for every program that talks to a
// broker. Those of an AMP cache are for clients: an agent's polls are too many
// for a cache.
func (r *Reach) Register(f *pflag.FlagSet, client bool) {
	legs := "direct, front"
	f.StringSliceVar(&r.Fronts, "front", nil, "reach the broker behind this `HOST`, the only name that DNS and TLS show; see help fronting")
	if client {
		legs = "direct, front, amp"
		f.StringVar(&r.AMPCache, "ampcache", "", "reach the broker through the AMP cache at this `URL`")
		f.StringSliceVar(&r.AMPFronts, "ampcache-front", nil, "reach that cache behind this `HOST` (default its own name)")
	}
	f.StringSliceVar(&r.Legs, "rendezvous", nil, "try these `WAYS` in order: "+legs+" (default the flags above, or direct)")
	f.StringVar(&r.Imitate, "utls-imitate", "", "make TLS look like that of the browser `NAME`; see help fronting")
	f.StringVar(&r.Proxy, "proxy", "", "use the http, https or socks5 proxy at this `URL`, or none (default HTTPS_PROXY, NO_PROXY)")
	f.BoolVar(&r.AllowPlainHTTP, "allow-plain-http", false, "send tokens to another machine over plain HTTP (default refuse to)")
	f.StringVar(&r.CAFile, "ca-file", "", "trust the CA certificates in this PEM `FILE` besides the system's")
}

// legs returns the legs in the order to try them.
func (r *Reach) legs() []string {
	if len(r.Legs) > 0 {
		return r.Legs
	}
	var legs []string
	if len(r.Fronts) > 0 {
		legs = append(legs, LegFront)
	}
	if r.AMPCache != "" {
		legs = append(legs, LegAMP)
	}
	if legs == nil {
		legs = []string{LegDirect}
	}
	return legs
}

// Validate reports the first flag that is wrong. It does not open files.
func (r *Reach) Validate() error {
	legs := r.legs()
	for i, leg := range legs {
		switch {
		case leg != LegDirect && leg != LegFront && leg != LegAMP:
			return fmt.Errorf("--rendezvous: %q is not a way; the ways are direct, front and amp", leg)
		case slices.Contains(legs[:i], leg):
			return fmt.Errorf("--rendezvous: %s is listed twice", leg)
		case leg == LegFront && len(r.Fronts) == 0:
			return fmt.Errorf("--rendezvous: front needs a --front")
		case leg == LegAMP && r.AMPCache == "":
			return fmt.Errorf("--rendezvous: amp needs an --ampcache")
		}
	}
	for flag, hosts := range map[string][]string{"--front": r.Fronts, "--ampcache-front": r.AMPFronts} {
		for _, host := range hosts {
			if _, err := front.Address(host); err != nil {
				return fmt.Errorf("%s: %w", flag, err)
			}
		}
	}
	if r.AMPCache != "" {
		if u, err := url.Parse(r.AMPCache); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
			return fmt.Errorf("--ampcache: %q is not like https://cdn.example/", r.AMPCache)
		}
	} else if len(r.AMPFronts) > 0 {
		return fmt.Errorf("--ampcache-front needs --ampcache")
	}
	if r.Imitate != "" && !front.Known(r.Imitate) {
		return fmt.Errorf("--utls-imitate: unknown name %q; help fronting lists the names", r.Imitate)
	}
	if u, err := url.Parse(r.Proxy); err == nil && u.User != nil {
		if _, secret := u.User.Password(); secret {
			return fmt.Errorf("--proxy: other users of this machine can read a password on the command line; set HTTPS_PROXY instead")
		}
	}
	if _, err := front.Proxy(r.Proxy); err != nil {
		return fmt.Errorf("--proxy: %w", err)
	}
	return nil
}

// roots returns the certificates to verify servers with; nil are the system's.
func (r *Reach) roots() (*x509.CertPool, error) {
	if r.CAFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(r.CAFile)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil { // a system without any
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--ca-file: %s has no certificate in PEM form", r.CAFile)
	}
	return pool, nil
}
