package signaling

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/farforge/farforge/common/amp"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/front"
)

// Way is one way to a broker.
type Way struct {
	// Leg is one of the Leg constants.
	Leg string
	// Via is the front or the cache, and empty for the direct way.
	Via string
}

// String returns the way in words, such as "through the front cdn.example".
func (w Way) String() string {
	switch w.Leg {
	case LegFront:
		return "through the front " + w.Via
	case LegAMP:
		return "through the AMP cache " + w.Via
	default:
		return "directly"
	}
}

// route is a way with its HTTP client.
type route struct {
	Way
	rank    int // of its leg in the configured order
	http    *http.Client
	longest time.Duration // for which a request may be held, in whole seconds

	mu          sync.Mutex
	limited     time.Duration // the wait to ask for instead, because a longer one was cut off
	until       time.Time     // when limited ends
	longestHeld time.Duration // the longest time that a request was held and answered
}

// allows returns how long a request may be held on the way.
func (r *route) allows() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.limited > 0 && time.Now().Before(r.until) {
		return min(r.limited, r.longest)
	}
	return r.longest
}

// cut records that a request was cut off after it was held for a time. Many
// fronts allow less than a broker's longest wait, so the client asks for shorter
// waits until lookBack has passed. If the front has allowed a longer hold before,
// the cut had another reason.
func (r *route) cut(held time.Duration) {
	if r.Leg != LegFront || held < time.Second {
		return // the direct way is cut by restarts, and a cache's wait is short
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if held <= r.longestHeld {
		return
	}
	r.limited, r.until = max(time.Second, (held*3/4).Truncate(time.Second)), time.Now().Add(lookBack)
}

// answered records that a request was held for a time and answered.
func (r *route) answered(held time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.longestHeld = max(r.longestHeld, held)
}

const (
	// connectFallback bounds connecting and handshake where another way is left.
	connectFallback = 5 * time.Second
	// ampWait is the wait that requests through a cache ask for: together with
	// api.AnswerTimeout it is as long as caches wait for a page.
	ampWait = 2 * time.Second
	// lookBack is the time until a client on a later way of the list tries the
	// earlier ones again.
	lookBack = 15 * time.Minute
)

// Ways are the ways to one broker, with the one that works. They are safe for
// concurrent use, and several clients may share them.
type Ways struct {
	origin string
	proxy  string
	routes []*route // in the order of the legs; fronts shuffled
	memory *memory
	chosen func(Way)
	log    *slog.Logger

	notify  sync.Mutex // held while chosen runs; taken before mu
	mu      sync.Mutex
	current *route    // the last that worked, here or in another process
	proven  bool      // current has worked in this process
	since   time.Time // when the better ones last failed
}

// NewWays prepares the ways to the broker at a URL. It calls chosen, if that is not
// nil, with the first way that works and again after each change: one call at a
// time, and chosen must not call back. NewWays does not connect yet. Its errors name
// flags.
func NewWays(broker string, r Reach, chosen func(Way), log *slog.Logger) (*Ways, error) {
	base, origin, err := parseURL(broker)
	if err != nil {
		return nil, err
	}
	if err := r.Validate(); err != nil {
		return nil, err
	}
	roots, err := r.roots()
	if err != nil {
		return nil, err
	}
	proxy, err := front.Proxy(r.Proxy)
	if err != nil {
		return nil, fmt.Errorf("--proxy: %w", err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	w := &Ways{origin: origin, proxy: r.Proxy, chosen: chosen, log: log, memory: &memory{path: r.File, log: log}}
	config := front.Config{Imitate: r.Imitate, Roots: roots, Proxy: proxy, HeaderTimeout: api.MaxWait + slack, ConnectTimeout: connectTimeout}
	if legs := r.legs(); len(legs) > 1 || len(r.Fronts) > 1 {
		config.ConnectTimeout = connectFallback
	}
	for rank, leg := range r.legs() {
		switch leg {
		case LegDirect:
			err = w.add(rank, Way{Leg: leg}, config, nil)
		case LegFront:
			if base.Scheme != "https" {
				return nil, fmt.Errorf("--front: the broker's URL is %s, and only https hides it", broker)
			}
			for _, host := range shuffled(r.Fronts) {
				config.Front = host
				if err = w.add(rank, Way{leg, host}, config, nil); err != nil {
					return nil, err
				}
			}
		case LegAMP:
			cache, parseErr := url.Parse(r.AMPCache)
			if parseErr != nil {
				return nil, fmt.Errorf("--ampcache: %w", parseErr)
			}
			for _, host := range shuffled(r.AMPFronts, cache.Host) {
				config.Front = host
				via := cache.Host
				if host != via {
					via += " behind " + host
				}
				if err = w.add(rank, Way{leg, via}, config, cache); err != nil {
					return nil, err
				}
			}
		}
		config.Front = ""
		if err != nil {
			return nil, err
		}
	}
	if err := checkPlain(base, r.AllowPlainHTTP); err != nil {
		return nil, err
	}
	if len(w.routes) > 1 {
		w.recall()
	}
	return w, nil
}

// shuffled returns the hosts in random order, or the one to use without any.
func shuffled(hosts []string, without ...string) []string {
	if len(hosts) == 0 {
		return without
	}
	out := slices.Clone(hosts)
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func (w *Ways) add(rank int, way Way, c front.Config, cache *url.URL) error {
	transport, err := front.New(c)
	if err != nil {
		return err
	}
	r := &route{Way: way, rank: rank, longest: api.MaxWait, http: &http.Client{
		Transport: transport,
		// A token must not follow a redirect to another server.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if cache != nil {
		r.http.Transport, r.longest = &amp.Transport{Cache: cache, Base: transport}, ampWait
	}
	w.routes = append(w.routes, r)
	return nil
}

// Current returns the way in use; false before one has worked.
func (w *Ways) Current() (Way, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.proven {
		return Way{}, false
	}
	return w.current.Way, true
}

// Close closes idle connections.
func (w *Ways) Close() {
	for _, r := range w.routes {
		r.http.CloseIdleConnections()
	}
}

// order returns the routes in the order in which a request tries them: the last
// that worked, then the others. After lookBack the configured order applies once
// more, but not for a request that the broker may hold.
func (w *Ways) order(held bool) []*route {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current == nil || (!held && w.current.rank > 0 && time.Since(w.since) > lookBack) {
		return w.routes
	}
	out := []*route{w.current}
	for _, r := range w.routes {
		if r != w.current {
			out = append(out, r)
		}
	}
	return out
}

// worked records that a broker has answered on a way. tried is how many others
// have failed just before.
func (w *Ways) worked(r *route, tried int) {
	w.mu.Lock()
	news := !w.proven || w.current != r
	if !news && tried > 0 {
		w.since = time.Now()
	}
	w.mu.Unlock()
	if !news {
		return
	}
	w.notify.Lock()
	defer w.notify.Unlock()
	w.mu.Lock()
	news = !w.proven || w.current != r
	w.current, w.proven, w.since = r, true, time.Now()
	w.mu.Unlock()
	if !news {
		return // another request has found the same
	}
	if len(w.routes) > 1 {
		w.memory.keep(w.origin, r.Way)
	}
	w.log.Info("the broker answers", "way", r.String())
	if w.chosen != nil {
		w.chosen(r.Way)
	}
}

// recall starts with the way that worked in an earlier process.
func (w *Ways) recall() {
	way, ok := w.memory.recall(w.origin)
	if !ok {
		return
	}
	for _, r := range w.routes {
		if r.Way == way {
			w.current, w.since = r, time.Now()
		}
	}
}
