// Package grant is the signed token that lets a client use an agent for one job.
// The broker signs it. The agent verifies it against keys that it has pinned, so
// that neither a proxy nor another broker can widen it.
//
//	broker ── signs ──▶ client ── offer + grant ──▶ broker ── job ──▶ agent
//	                                                                    │ signature by a pinned key
//	                                                                    │ issued, not expired
//	                                                                    │ audience holds its own key
//	                                                                    │ not seen before (job id)
//	                                                                    │ cnf = the certificate in DTLS
//
// A grant is a JWT (RFC 7519) signed with EdDSA (RFC 8037) and nothing else.
// Its typ is [Type], as RFC 8725 advises, so that no other token of the same broker
// passes for a grant. A cnf claim (RFC 7800) with x5t#S256 (RFC 8705, section 3.1)
// binds the client's DTLS certificate.
package grant

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/farforge/farforge/common/capacity"
)

// Type is the typ header of a grant.
const Type = "farforge-grant+jwt"

// The reasons to refuse a grant. Every error of this package wraps one of them.
var (
	ErrMalformed   = errors.New("the grant is malformed")
	ErrSignature   = errors.New("the grant is not signed by a known key")
	ErrExpired     = errors.New("the grant has expired")
	ErrNotYetValid = errors.New("the grant is not valid yet")
	ErrAudience    = errors.New("the grant is for other agents")
	ErrFingerprint = errors.New("the grant is for another peer certificate")
	ErrChannel     = errors.New("the grant does not list the channel")
)

// Grant is the content of a grant: what a client may do in one job.
type Grant struct {
	Issuer  string // the broker's origin
	Subject string // the user
	JobID   string
	// IssuedAt and ExpiresAt bound the time to redeem it, not the session.
	IssuedAt, ExpiresAt time.Time
	// PeerFingerprint is the SHA-256 of the client's DTLS certificate, in the
	// form of RFC 8122.
	PeerFingerprint string
	// Agents are the fingerprints of the agents that may redeem it.
	Agents   []string
	Channels []string
	// CPUCores is the exact share of the processors; a fraction is allowed.
	CPUCores capacity.CoreShare
	MemoryMB int
	// SessionSecs bounds the whole session, in seconds.
	SessionSecs int
	// MaxBandwidthKbps bounds the traffic in each direction, and MaxMessageRate the
	// client's messages per second; 0 is unlimited.
	MaxBandwidthKbps int
	MaxMessageRate   int
	Target           string
	Toolchain        string
	Project          string
}

// CheckAudience returns ErrAudience unless the agent is among those that may
// redeem the grant.
func (g *Grant) CheckAudience(agent string) error {
	if !slices.Contains(g.Agents, agent) {
		return fmt.Errorf("%w: %s is not among its %d", ErrAudience, agent, len(g.Agents))
	}
	return nil
}

// CheckFingerprint returns ErrFingerprint unless fingerprint, in the form of
// RFC 8122, is the fingerprint of the grant's certificate.
func (g *Grant) CheckFingerprint(fingerprint string) error {
	if !strings.EqualFold(g.PeerFingerprint, fingerprint) {
		return fmt.Errorf("%w: it names %s, the peer presents %s", ErrFingerprint, g.PeerFingerprint, fingerprint)
	}
	return nil
}

// CheckChannel returns ErrChannel unless the grant lists the label.
func (g *Grant) CheckChannel(label string) error {
	if !slices.Contains(g.Channels, label) {
		return fmt.Errorf("%w: %q is not among %s", ErrChannel, label, strings.Join(g.Channels, ", "))
	}
	return nil
}

// Fingerprint returns the SHA-256 fingerprint of a certificate (DER) in the
// form of RFC 8122: upper-case hexadecimal bytes with colons between.
func Fingerprint(certificate []byte) string {
	sum := sha256.Sum256(certificate)
	return formatFingerprint(sum[:])
}

func formatFingerprint(sum []byte) string {
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

// thumbprint converts a fingerprint from the form of RFC 8122 to x5t#S256.
func thumbprint(fingerprint string) (string, error) {
	sum, err := hex.DecodeString(strings.ReplaceAll(fingerprint, ":", ""))
	if err != nil || len(sum) != sha256.Size {
		return "", fmt.Errorf("%w: %q is not a SHA-256 certificate fingerprint", ErrMalformed, fingerprint)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

func fromThumbprint(x5t string) (string, error) {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(x5t)
	if err != nil || len(sum) != sha256.Size {
		return "", fmt.Errorf("%w: %q is not an x5t#S256", ErrMalformed, x5t)
	}
	return formatFingerprint(sum), nil
}
