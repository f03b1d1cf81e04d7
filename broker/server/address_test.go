package server

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestAddress(t *testing.T) {
	near := proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48"), netip.MustParsePrefix("127.0.0.1/32")}
	for _, c := range []struct {
		name    string
		trusted proxies
		from    string
		header  []string
		want    string
	}{
		{"no proxy", nil, "192.0.2.1:99", nil, "192.0.2.1"},
		{"a header of an untrusted sender", nil, "10.0.0.1:99", []string{"192.0.2.7"}, "10.0.0.1"},
		{"a header from elsewhere", near, "192.0.2.1:99", []string{"192.0.2.7"}, "192.0.2.1"},
		{"one proxy", near, "10.0.0.1:99", []string{"192.0.2.7"}, "192.0.2.7"},
		{"made up before the proxy", near, "10.0.0.1:99", []string{"203.0.113.9, 192.0.2.7"}, "192.0.2.7"},
		{"made up in a header of its own", near, "10.0.0.1:99", []string{"203.0.113.9", "192.0.2.7"}, "192.0.2.7"},
		{"two proxies", near, "127.0.0.1:99", []string{"203.0.113.9, 192.0.2.7,10.9.9.9"}, "192.0.2.7"},
		{"a trusted address that was made up", near, "10.0.0.1:99", []string{"10.1.1.1, 192.0.2.7"}, "192.0.2.7"},
		{"all trusted", near, "10.0.0.1:99", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"no header", near, "10.0.0.1:99", nil, "10.0.0.1"},
		{"rubbish", near, "10.0.0.1:99", []string{"192.0.2.7, unknown"}, "10.0.0.1"},
		{"rubbish before a proxy", near, "10.0.0.1:99", []string{"unknown, 10.0.0.2"}, "10.0.0.2"},
		{"empty", near, "10.0.0.1:99", []string{""}, "10.0.0.1"},
		{"with a port", near, "10.0.0.1:99", []string{"192.0.2.7:1234"}, "192.0.2.7"},
		{"IPv6", near, "[2001:db8:1::1]:99", []string{"2001:db8:2::7"}, "2001:db8:2::7"},
		{"IPv6 in brackets", near, "[2001:db8:1::1]:99", []string{"[2001:db8:2::7]:80"}, "2001:db8:2::7"},
		{"IPv4 in IPv6", near, "[::ffff:10.0.0.1]:99", []string{"::ffff:192.0.2.7"}, "192.0.2.7"},
		{"a zone", nil, "[fe80::1%eth0]:99", nil, "fe80::1"},
		{"a Unix socket", near, "@", []string{"192.0.2.7"}, "invalid IP"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.RemoteAddr = c.from
		for _, h := range c.header {
			r.Header.Add("X-Forwarded-For", h)
		}
		if got := c.trusted.address(r).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func FuzzAddress(f *testing.F) {
	f.Add("192.0.2.7, 10.0.0.1")
	f.Add("[::1]:80,,[")
	trusted := proxies{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = "10.0.0.1:1"
		r.Header.Set("X-Forwarded-For", header)
		if !trusted.address(r).IsValid() {
			t.Errorf("%q hides the address of the connection", header)
		}
	})
}
