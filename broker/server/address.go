package server

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/farforge/farforge/common/api"
)

// proxies are the networks of the proxies whose X-Forwarded-For is used.
type proxies []netip.Prefix

func (p proxies) trust(addr netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// address returns the sender of the request: the other end of the connection or,
// if that is a trusted proxy, the address that it names in X-Forwarded-For. Each
// proxy appends the address that it was reached from; it received the addresses
// before, which can be forged. So the last address that is not a trusted proxy's
// is the sender's. It is invalid if the other end has no address, as on a Unix
// socket.
func (p proxies) address(r *http.Request) netip.Addr {
	from := parseAddress(r.RemoteAddr)
	if len(p) == 0 || !p.trust(from) {
		return from
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		next := parseAddress(strings.TrimSpace(hop))
		if !next.IsValid() {
			return from // no trusted proxy wrote the addresses before
		}
		if from = next; !p.trust(from) {
			return from
		}
	}
	return from
}

// parseAddress reads an address with or without port and brackets. It returns the
// zero Addr for anything else.
func parseAddress(s string) netip.Addr {
	if with, err := netip.ParseAddrPort(s); err == nil {
		return plain(with.Addr())
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		return netip.Addr{}
	}
	return plain(addr)
}

// plain returns the one form of an address.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// addressOf returns the sender of the request; see proxies.address.
func (s *Server) addressOf(r *http.Request) netip.Addr {
	return proxies(s.cfg.TrustedProxies).address(r)
}

// limited limits the requests of a network, before the broker reads anything that
// the network sends. Requests without an address share one bucket.
func (s *Server) limited(serve handlerFunc) handlerFunc {
	if s.cfg.Addresses == nil {
		return serve
	}
	return func(w *response, r *http.Request) error {
		wait, ok := s.cfg.Addresses.Allow(s.addressOf(r), s.now())
		if !ok {
			s.metrics.refused("address")
			return after(problem(http.StatusTooManyRequests, api.CodeTooFast, "too many requests come from your network",
				"retry in "+strconv.Itoa(seconds(wait))+" s"), wait)
		}
		return serve(w, r)
	}
}
