package signaling

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// nextLink returns the target of the first link with the relation next in Link
// headers (RFC 8288), or an empty string. A malformed header is an error, because
// ignoring it would cut a list short in silence.
func nextLink(headers []string) (string, error) {
	for _, rest := range headers {
		for {
			rest = strings.TrimLeft(rest, " \t,") // empty elements are allowed
			if rest == "" {
				break
			}
			target, after, ok := strings.Cut(strings.TrimPrefix(rest, "<"), ">")
			if rest[0] != '<' || !ok {
				return "", errors.New("a link has no target in < >")
			}
			rel, after, err := linkRelation(after)
			if err != nil {
				return "", err
			}
			for kind := range strings.FieldsSeq(rel) {
				if strings.EqualFold(kind, "next") {
					return target, nil
				}
			}
			rest = after
		}
	}
	return "", nil
}

// linkRelation reads the parameters of a link, up to a comma or the end, and
// returns the first that is rel.
func linkRelation(s string) (rel, rest string, err error) {
	found := false
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == ',' {
			return rel, s, nil
		}
		if s[0] != ';' {
			return "", "", fmt.Errorf("a link is followed by %.20q, not by ; or a comma", s)
		}
		end := strings.IndexAny(s[1:], `=;,"`)
		if end < 0 {
			return rel, "", nil // a last parameter without a value
		}
		name := strings.Trim(s[1:1+end], " \t")
		if s = s[1+end:]; s[0] != '=' {
			if s[0] == '"' {
				return "", "", errors.New("a parameter of a link has a misplaced quotation mark")
			}
			continue
		}
		value, after, err := linkValue(strings.TrimLeft(s[1:], " \t"))
		if err != nil {
			return "", "", err
		}
		if s = after; !found && strings.EqualFold(name, "rel") {
			rel, found = value, true
		}
	}
}

// linkValue reads a token or a quoted string.
func linkValue(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ";,")
		if end < 0 {
			end = len(s)
		}
		return strings.TrimRight(s[:end], " \t"), s[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], nil
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("a quoted value does not end")
}

// onward returns the query of the next page of the list at path, or nil after the
// last page. It refuses a link to any other place, because the next request
// carries a token.
func onward(base *url.URL, path string, headers []string) (url.Values, error) {
	link, err := nextLink(headers)
	if err != nil || link == "" {
		return nil, err
	}
	here := *base
	here.Path, here.RawPath = base.Path+path, ""
	to, err := here.Parse(link)
	if err != nil {
		return nil, err
	}
	// A broker behind a prefix does not know the prefix, and leaves it out.
	if to.Scheme != base.Scheme || !strings.EqualFold(to.Host, base.Host) || to.User != nil || (to.Path != here.Path && to.Path != path) {
		return nil, fmt.Errorf("a link leads to another place: %.100q", link)
	}
	query, err := url.ParseQuery(to.RawQuery)
	if err != nil {
		return nil, err
	}
	return query, nil
}
