package identity

import (
	"fmt"
	"strings"
	"time"

	"github.com/farforge/farforge/common/lexical"
)

// obey applies the options of the line.
func (a *Authorized) obey(options []string) error {
	return eachOption(options, func(name, value string) (err error) {
		switch name {
		case "targets":
			a.Targets, err = parseNames("targets", "a chip name such as esp32c3", value)
		case "tags":
			a.Tags, err = parseNames("tags", "a tag such as eu", value)
		case "expiry-time":
			a.Expires, err = parseExpiry(name, value)
		default:
			err = fmt.Errorf("the option %q is unknown; targets, tags and expiry-time are known", name)
		}
		return err
	})
}

// eachOption calls apply with each option of a line. An option that a line has twice
// is an error.
func eachOption(options []string, apply func(name, value string) error) error {
	seen := map[string]bool{}
	for _, option := range options {
		name, value, err := splitOption(option)
		if err != nil {
			return err
		}
		if seen[name] {
			return fmt.Errorf("it has the option %s twice", name)
		}
		seen[name] = true
		if err := apply(name, value); err != nil {
			return err
		}
	}
	return nil
}

// splitOption reads name="value". Names have no case, as with sshd.
func splitOption(option string) (name, value string, err error) {
	name, quoted, has := strings.Cut(option, "=")
	name = strings.ToLower(name)
	if !has {
		return name, "", nil
	}
	if len(quoted) < 2 || quoted[0] != '"' || quoted[len(quoted)-1] != '"' {
		return "", "", fmt.Errorf("the value of the option %q is not in double quotes", name)
	}
	return name, strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`), nil
}

func parseNames(option, what, value string) ([]string, error) {
	names := strings.Split(value, ",")
	for i, n := range names {
		names[i] = strings.TrimSpace(n)
		if !lexical.Name(names[i]) {
			return nil, fmt.Errorf("%s: %q is not %s", option, n, what)
		}
	}
	return names, nil
}

// parseExpiry reads a time as sshd does: in the local time zone unless it ends
// in Z.
func parseExpiry(option, value string) (time.Time, error) {
	text, utc := strings.CutSuffix(value, "Z")
	zone := time.Local
	if utc {
		zone = time.UTC
	}
	layout, ok := map[int]string{8: "20060102", 12: "200601021504", 14: "20060102150405"}[len(text)]
	if ok {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s: %q is not a time; write YYYYMMDD or YYYYMMDDHHMM, with a Z behind it for UTC", option, value)
}
