package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
)

const (
	// socketBuffer is the requested buffer size of each UDP socket, in bytes. It
	// determines throughput more than any other setting; kernels may limit it.
	socketBuffer = 4 << 20
	// A peer that is silent for disconnectedAfter counts as disconnected, and as
	// failed failedAfter later: soon enough for a waiting user, late enough for a
	// laptop that changes its network.
	disconnectedAfter = 4 * time.Second
	failedAfter       = 6 * time.Second
	keepalive         = time.Second
	// relayAfter is how long relays are held back in favor of a direct path, which
	// may take longer to find.
	relayAfter = time.Second
)

// Config says how to connect. The zero value works. It is not modified.
type Config struct {
	// Certificate is this end's. Nil makes a new one.
	Certificate *Certificate
	ICEServers  []api.ICEServer
	// Loopback uses loopback addresses only, for two ends on one machine.
	Loopback bool
	// Trickle sends candidates after the description; see [Trickle]. Without it,
	// the description has all candidates, and gathering them takes seconds where a
	// STUN server does not answer.
	Trickle bool
	// HideLocal says that the two ends share no network: it keeps addresses of the
	// local network from the other end, and refuses the other end's.
	HideLocal bool
	// PlainDTLS sends pion's own ClientHello, not one that looks like a browser's.
	PlainDTLS bool
	// Logger gets state changes; nil discards them.
	Logger *slog.Logger
}

// Certificate is the DTLS certificate of one end.
type Certificate struct {
	cert        *webrtc.Certificate
	fingerprint string
}

// NewCertificate makes an ECDSA P-256 certificate. An RSA key would take a tenth of
// a second.
func NewCertificate() (*Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a DTLS certificate: %w", err)
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, fmt.Errorf("make a DTLS certificate: %w", err)
	}
	prints, err := cert.GetFingerprints()
	if err != nil {
		return nil, fmt.Errorf("make a DTLS certificate: %w", err)
	}
	for _, p := range prints {
		if p.Algorithm == "sha-256" {
			return &Certificate{cert: cert, fingerprint: strings.ToUpper(p.Value)}, nil
		}
	}
	return nil, fmt.Errorf("make a DTLS certificate: it has no SHA-256 fingerprint")
}

// Fingerprint returns the certificate's SHA-256 in the form of RFC 8122.
func (c *Certificate) Fingerprint() string { return c.fingerprint }

// RegisterDTLS defines the flag for PlainDTLS, the same for both ends.
func RegisterDTLS(f *pflag.FlagSet, plain *bool) {
	f.BoolVar(plain, "plain-dtls", false, "do not make the DTLS handshake look like a browser's")
}

// connection makes the peer connection that both ends start from. role is the
// DTLS role of an answer.
func (c Config) connection(role webrtc.DTLSRole) (*Conn, error) {
	var s webrtc.SettingEngine
	s.DetachDataChannels()
	s.SetSCTPMaxMessageSize(channel.MaxMessage)
	s.SetICETimeouts(disconnectedAfter, failedAfter, keepalive)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetSrflxAcceptanceMinWait(0)
	s.SetPrflxAcceptanceMinWait(0)
	s.SetRelayAcceptanceMinWait(relayAfter)
	// HelloVerify would cost a round trip to prove that the peer owns its address,
	// which ICE has proven already (RFC 8842, section 5.5).
	s.SetDTLSInsecureSkipHelloVerify(true)
	if role != webrtc.DTLSRoleAuto {
		if err := s.SetAnsweringDTLSRole(role); err != nil {
			return nil, fmt.Errorf("set up WebRTC: %w", err)
		}
	}
	h := &hello{wanted: !c.PlainDTLS}
	s.SetDTLSClientHelloMessageHook(h.message)
	if c.Loopback {
		s.SetIncludeLoopbackCandidate(true)
		s.SetIPFilter(net.IP.IsLoopback)
	}
	n, err := newNetwork(h)
	if err != nil {
		return nil, fmt.Errorf("list the network interfaces: %w", err)
	}
	s.SetNet(n)

	cert := c.Certificate
	if cert == nil {
		if cert, err = NewCertificate(); err != nil {
			return nil, err
		}
	}
	config := webrtc.Configuration{Certificates: []webrtc.Certificate{*cert.cert}}
	for _, server := range c.ICEServers {
		config.ICEServers = append(config.ICEServers, webrtc.ICEServer{URLs: server.URLs, Username: server.Username, Credential: server.Credential})
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(s)).NewPeerConnection(config)
	if err != nil {
		return nil, fmt.Errorf("set up WebRTC: %w", err)
	}
	return newConn(pc, n, c), nil
}
