package identity

import (
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Role is the role of the signer in a session. A signature for one role is invalid
// for another.
type Role string

// The roles.
const (
	RoleAgent Role = "agent"
	RoleUser  Role = "user"
)

// Challenge is the message that an agent or a user signs to open a session with a
// broker.
type Challenge struct {
	Role Role
	// Origin is the broker's, as [Origin] spells it.
	Origin string
	// Challenge is the broker's opaque challenge.
	Challenge []byte
	// Nonce is the signer's own random contribution.
	Nonce []byte
	// Fingerprint is the signer's, "SHA256:…".
	Fingerprint string
}

// SignedBytes returns the bytes to sign in [NamespaceSession]. Each field follows its
// length, so that no two challenges share their bytes.
func (c Challenge) SignedBytes() []byte {
	var b []byte
	for _, field := range [][]byte{
		[]byte("farforge session"), []byte("v1"), []byte("role=" + c.Role),
		[]byte(c.Origin), c.Challenge, c.Nonce, []byte(c.Fingerprint),
	} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(field)))
		b = append(b, field...)
	}
	return b
}

// Origin reduces a broker's URL to its origin as RFC 6454 has it: scheme, host
// and port, without a port that the scheme implies. An international host name becomes
// its ASCII form, so that both spellings are one origin. Other schemes than http and
// https are errors.
func Origin(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("broker URL: %w", err)
	}
	// A second scheme leaves a colon without a port.
	if (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" || u.User != nil || strings.HasSuffix(u.Host, ":") {
		return "", fmt.Errorf("broker URL: %q is not like https://broker.example.org", raw)
	}
	host := strings.ToLower(u.Hostname())
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	} else if ascii := strings.IndexFunc(host, func(r rune) bool { return r >= utf8.RuneSelf }) < 0; !ascii {
		if host, err = idna.Lookup.ToASCII(host); err != nil {
			return "", fmt.Errorf("broker URL: the host name of %q: %w", raw, err)
		}
	}
	port := u.Port()
	if port == "" || (u.Scheme == "https" && port == "443") || (u.Scheme == "http" && port == "80") {
		return u.Scheme + "://" + host, nil
	}
	return u.Scheme + "://" + host + ":" + port, nil
}
