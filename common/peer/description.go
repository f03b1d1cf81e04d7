package peer

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/farforge/farforge/common/api"
)

// Description is the SDP of an offer or an answer (RFC 8866, RFC 9429). Its
// maker returns it and the other end takes it unchanged; how it travels is the
// caller's choice.
type Description string

// Trickles reports whether more candidates may follow the description: its maker
// says that it can send them (RFC 8838, section 4.1.1), and does not say that
// the description has them all.
func (d Description) Trickles() bool {
	can, all := false, false
	for line := range d.lines() {
		switch {
		case strings.HasPrefix(line, "a=ice-options:"):
			can = can || strings.Contains(line, "trickle")
		case line == "a=end-of-candidates":
			all = true
		}
	}
	return can && !all
}

// Fingerprint returns the SHA-256 certificate fingerprint that the description
// announces, in the form of RFC 8122, so that an agent can refuse a foreign offer
// before it answers. A description that announces none, or several different
// ones, is an error.
func (d Description) Fingerprint() (string, error) {
	s, err := d.parse()
	if err != nil {
		return "", err
	}
	values := map[string]bool{}
	collect := func(attributes []sdp.Attribute) {
		for _, a := range attributes {
			if algorithm, value, ok := strings.Cut(a.Value, " "); a.Key == "fingerprint" && ok && strings.EqualFold(algorithm, "sha-256") {
				values[strings.ToUpper(strings.TrimSpace(value))] = true
			}
		}
	}
	collect(s.Attributes)
	for _, m := range s.MediaDescriptions {
		collect(m.Attributes)
	}
	if len(values) != 1 {
		return "", fmt.Errorf("the description announces %d SHA-256 fingerprints instead of one", len(values))
	}
	var only string
	for only = range values {
	}
	return only, nil
}

// parse checks the length before it reads the SDP.
func (d Description) parse() (*sdp.SessionDescription, error) {
	if len(d) > api.MaxOffer {
		return nil, fmt.Errorf("the description is %d bytes long, at most %d are allowed", len(d), api.MaxOffer)
	}
	if d == "" {
		return nil, errors.New("the description is empty")
	}
	var s sdp.SessionDescription
	if err := s.UnmarshalString(string(d)); err != nil {
		return nil, fmt.Errorf("the description is not SDP: %w", err)
	}
	return &s, nil
}

// edit calls keep with the value of each candidate attribute. It returns the
// description with the values that keep has accepted and may have changed. An error
// of keep ends it.
func (d Description) edit(keep func(candidate string) (string, bool, error)) (Description, error) {
	s, err := d.parse()
	if err != nil {
		return "", err
	}
	filter := func(attributes []sdp.Attribute) ([]sdp.Attribute, error) {
		kept := attributes[:0]
		for _, a := range attributes {
			if a.Key == "candidate" {
				value, ok, err := keep(a.Value)
				if err != nil {
					return nil, err
				}
				if !ok {
					continue
				}
				a.Value = value
			}
			kept = append(kept, a)
		}
		return kept, nil
	}
	if s.Attributes, err = filter(s.Attributes); err != nil {
		return "", err
	}
	for _, m := range s.MediaDescriptions {
		if m.Attributes, err = filter(m.Attributes); err != nil {
			return "", err
		}
	}
	out, err := s.Marshal()
	return Description(out), err
}

// candidates returns the candidate attributes, as candidates spell themselves.
func (d Description) candidates() []string {
	var found []string
	for line := range d.lines() {
		if value, ok := strings.CutPrefix(line, "a=candidate:"); ok {
			found = append(found, "candidate:"+value)
		}
	}
	return found
}

// complete reports whether the description says that it has all candidates.
func (d Description) complete() bool {
	for line := range d.lines() {
		if line == "a=end-of-candidates" {
			return true
		}
	}
	return false
}

// ufrag returns the name of the ICE session.
func (d Description) ufrag() string {
	for line := range d.lines() {
		if value, ok := strings.CutPrefix(line, "a=ice-ufrag:"); ok {
			return value
		}
	}
	return ""
}

// announceTrickle adds that this end trickles (RFC 8840, section 4.1.3).
func (d Description) announceTrickle() Description {
	if strings.Contains(string(d), "a=ice-options:") {
		return d
	}
	return Description(strings.Replace(string(d), "a=ice-ufrag:", "a=ice-options:trickle\r\na=ice-ufrag:", 1))
}

// announceDTLS12 adds that this end chooses DTLS 1.2.
func (d Description) announceDTLS12() Description {
	return Description(strings.Replace(string(d), "a=ice-ufrag:", "a="+dtls12Attribute+"\r\na=ice-ufrag:", 1))
}

// passive reports whether the description's maker insists on being the DTLS
// server (RFC 4145).
func (d Description) passive() bool {
	for line := range d.lines() {
		if line == "a=setup:passive" {
			return true
		}
	}
	return false
}

// lines yields the lines without their ends. A carriage return ends a line, too,
// as it does for the SDP parser.
func (d Description) lines() func(func(string) bool) {
	return strings.FieldsFuncSeq(string(d), func(r rune) bool { return r == '\n' || r == '\r' })
}
