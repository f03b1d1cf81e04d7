package server

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// proxies are the networks whose word on the address of a client is taken.
type proxies []netip.Prefix

func (p proxies) trust(addr netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// address is who sent the request: the other end of the connection or, if that
// is a proxy that we trust, whom it names in X-Forwarded-For. Each proxy adds
// the address that it was reached from at the end, and what stands before was
// sent to it and can be made up; so the last address that is not a trusted
// proxy's is the client's. It is invalid if the other end has none, as on a
// Unix socket.
func (p proxies) address(r *http.Request) netip.Addr {
	from := parseAddress(r.RemoteAddr)
	if len(p) == 0 || !p.trust(from) {
		return from
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		next := parseAddress(strings.TrimSpace(hop))
		if !next.IsValid() {
			return from // nobody whom we trust wrote what stands before
		}
		if from = next; !p.trust(from) {
			return from
		}
	}
	return from
}

// parseAddress takes an address with or without port and brackets. One that is
// none is the zero Addr.
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

// plain writes one address in one way only.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }
