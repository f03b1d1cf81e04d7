package amp

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/idna"
)

// CacheURL returns the URL of a publisher's page in a cache. Its host begins with
// the publisher's name in another spelling, so to hide the publisher, connect to
// the cache's own name.
func CacheURL(cache, page *url.URL) (*url.URL, error) {
	if cache.Host == "" || page.Host == "" {
		return nil, fmt.Errorf("AMP cache URL: %q for %q: both need a host", cache, page)
	}
	out := *cache
	out.Host = subdomain(page.Hostname()) + "." + cache.Host
	way := "/v/"
	if page.Scheme == "https" {
		way += "s/"
	}
	out.Path = strings.TrimSuffix(cache.Path, "/") + way + page.Host + page.Path
	out.RawPath, out.RawQuery, out.Fragment = "", page.RawQuery, ""
	return &out, nil
}

// maxLabel is the longest part of a name between two dots (RFC 1035).
const maxLabel = 63

// subdomain spells a publisher's name as one label: readable if possible, and
// otherwise a hash.
func subdomain(host string) string {
	if strings.Contains(host, ".") && !strings.Contains(host, ":") {
		if name, err := idna.ToUnicode(host); err == nil {
			name = strings.NewReplacer("-", "--", ".", "-").Replace(name)
			if r := []rune(name); len(r) >= 4 && r[2] == '-' && r[3] == '-' { // reserved labels (RFC 5891)
				name = "0-" + name + "-0"
			}
			if label, err := idna.ToASCII(name); err == nil && len(label) <= maxLabel {
				return label
			}
		}
	}
	sum := sha256.Sum256([]byte(host))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:]))
}
