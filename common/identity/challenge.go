package identity

import (
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
)

// Role is what somebody opens a session as. A signature for one role is worth
// nothing for another.
type Role string

// The roles.
const (
	RoleAgent Role = "agent"
	RoleUser  Role = "user"
)

// Challenge is what an agent or a user signs to open a session with a broker.
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

// SignedBytes returns the bytes to sign in [NamespaceSession]: each field
// behind its length, so that no two challenges share their bytes.
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
// and port, without a port that the scheme implies. It refuses all but http
// and https.
func Origin(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("broker URL: %w", err)
	}
	// A colon without a port is what is left of a second scheme.
	if (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" || u.User != nil || strings.HasSuffix(u.Host, ":") {
		return "", fmt.Errorf("broker URL: %q is not like https://broker.example.org", raw)
	}
	host := strings.ToLower(u.Hostname())
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	port := u.Port()
	if port == "" || (u.Scheme == "https" && port == "443") || (u.Scheme == "http" && port == "80") {
		return u.Scheme + "://" + host, nil
	}
	return u.Scheme + "://" + host + ":" + port, nil
}
