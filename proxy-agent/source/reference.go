package source

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/farforge/farforge/common/channel"
)

// maxStrip is more folders than any path has.
const maxStrip = channel.MaxPath

// format is a kind of archive.
type format string

// The kinds, by the ends of their names.
const (
	formatTar  format = ".tar"
	formatGzip format = ".tar.gz"
	formatZstd format = ".tar.zst"
	formatZip  format = ".zip"
)

var formats = []struct {
	end    string
	format format
}{{".tar", formatTar}, {".tar.gz", formatGzip}, {".tgz", formatGzip}, {".tar.zst", formatZstd}, {".zip", formatZip}}

// reference is a channel.Source that the agent may fetch.
type reference struct {
	url    *url.URL
	sha256 string
	format format
}

func (f *Fetcher) parse(s *channel.Source) (*reference, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		var outer *url.Error // repeats the URL, which may hold a secret
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return nil, refuse("the source's URL is malformed: %v", err)
	}
	if err := f.check(u); err != nil {
		return nil, err
	}
	r := &reference{url: u, sha256: s.SHA256}
	for _, known := range formats {
		if strings.HasSuffix(strings.ToLower(path.Base(u.Path)), known.end) {
			r.format = known.format
		}
	}
	switch {
	case r.format == "":
		return nil, refuse("the agent cannot unpack %.80q; the name must end in .tar, .tar.gz, .tgz, .tar.zst or .zip", path.Base(u.Path))
	case len(s.SHA256) != 64 || strings.Trim(s.SHA256, "0123456789abcdef") != "":
		return nil, refuse("%.80q is not a SHA-256 in lower-case hexadecimal", s.SHA256)
	case s.StripComponents < 0 || s.StripComponents > maxStrip:
		return nil, refuse("strip_components is %d; it must be between 0 and %d", s.StripComponents, maxStrip)
	}
	return r, nil
}

// check judges a URL of the client or of a redirect.
func (f *Fetcher) check(u *url.URL) error {
	if len(f.hosts) == 0 {
		p := refuse("this agent fetches no sources: its operator allows no host (--source-hosts)")
		p.Hints = []string{"send the project's files instead"}
		return p
	}
	if u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return refuse("sources are fetched by https only, from a URL without a user name")
	}
	if !f.hosts[address(u.Hostname(), u.Port())] {
		p := refuse("this agent does not fetch from %s", u.Host)
		p.Hints = []string{"its operator allows " + strings.Join(f.allowed(), ", ") + " (--source-hosts)"}
		return p
	}
	return nil
}

func (f *Fetcher) allowed() []string {
	var all []string
	for host := range f.hosts {
		all = append(all, strings.TrimSuffix(host, ":443"))
	}
	slices.Sort(all)
	return all
}

func address(host, port string) string {
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(strings.TrimSuffix(strings.ToLower(host), "."), port)
}

// parseHost reads "host" or "host:port".
func parseHost(text string) (string, error) {
	u, err := url.Parse("https://" + text)
	if err != nil || u.Host != text || u.Hostname() == "" || strings.ContainsAny(text, "*/@ ") {
		return "", fmt.Errorf("%q is not a host such as example.org or example.org:8443", text)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return "", fmt.Errorf("%q has no port between 1 and 65535", text)
		}
	}
	return address(u.Hostname(), u.Port()), nil
}
