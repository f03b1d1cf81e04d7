package peer

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pion/dtls/v3/pkg/protocol/extension"
	"github.com/pion/dtls/v3/pkg/protocol/handshake"
)

// The ClientHello of a browser.
//
// A DTLS handshake begins in clear, and filters recognize programs by its first
// message. pion's has a form of its own, so this end sends the one that Chromium
// sends for a data channel: the same cipher suites, the same extensions in an
// order that is drawn for each connection, as Chromium draws it, fresh key
// shares of the same groups, and the same cut into two packets.
//
// That ClientHello offers DTLS 1.3, which pion does not speak. So it goes only to
// an end that says in its description that it chooses DTLS 1.2; any other end,
// such as a browser, is made the DTLS client and sends its own.
const dtls12Attribute = "x-farforge-dtls:1.2"

// choosesDTLS12 reports whether the description's maker understands such a
// ClientHello.
func (d Description) choosesDTLS12() bool {
	for line := range d.lines() {
		if line == "a="+dtls12Attribute {
			return true
		}
	}
	return false
}

// hello shapes the ClientHello of one connection.
type hello struct {
	wanted bool
	// browser is set once the other end is known to understand the form.
	browser atomic.Bool

	mu    sync.Mutex
	shape *handshake.MessageClientHello
	tail  []byte // the bytes of pion's packet beyond the length of Chromium's
}

// learn reads from the other end's description whether that end understands the form.
func (h *hello) learn(other Description) {
	if h.wanted && other.choosesDTLS12() {
		h.browser.Store(true)
	}
}

// message implements the hook of webrtc.SettingEngine. Repeated messages of one
// handshake have the same form.
func (h *hello) message(own handshake.MessageClientHello) handshake.Message {
	if !h.browser.Load() {
		return &own
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.shape == nil {
		shape, err := chromium()
		if err != nil {
			return &own // no randomness, so the handshake fails anyway
		}
		h.shape = shape
	}
	out := own
	out.CipherSuiteIDs, out.Extensions = h.shape.CipherSuiteIDs, h.shape.Extensions
	return &out
}

// chromiumSuites are the cipher suites of Chromium 156, strongest first.
var chromiumSuites = [...]uint16{
	0x1301, 0x1302, 0x1303, // DTLS 1.3
	0xc02b, 0xc02f, 0xcca9, 0xcca8, 0xc009, 0xc013, 0xc00a, 0xc014, 0x009c, 0x002f, 0x0035,
}

// chromium returns a ClientHello in the form of Chromium 156.
func chromium() (*handshake.MessageClientHello, error) {
	shares, err := keyShares()
	if err != nil {
		return nil, fmt.Errorf("make key shares: %w", err)
	}
	extensions := []extension.Extension{
		&rawExtension{extension.SupportedEllipticCurvesTypeValue, []byte{0, 8, 0x11, 0xec, 0, 0x1d, 0, 0x17, 0, 0x18}},
		&rawExtension{extension.SupportedPointFormatsTypeValue, []byte{1, 0}},
		&rawExtension{extension.SupportedSignatureAlgorithmsTypeValue, []byte{0, 18, 4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1, 8, 6, 6, 1, 2, 1}},
		&rawExtension{extension.UseSRTPTypeValue, []byte{0, 6, 0, 1, 0, 8, 0, 7, 0}},
		&rawExtension{extension.UseExtendedMasterSecretTypeValue, nil},
		&rawExtension{extension.SupportedVersionsTypeValue, []byte{4, 0xfe, 0xfc, 0xfe, 0xfd}},
		&rawExtension{extension.PskKeyExchangeModesTypeValue, []byte{1, 1}},
		&rawExtension{extension.KeyShareTypeValue, shares},
		&rawExtension{extension.RenegotiationInfoTypeValue, []byte{0}},
	}
	mathrand.Shuffle(len(extensions), func(i, j int) { extensions[i], extensions[j] = extensions[j], extensions[i] })
	return &handshake.MessageClientHello{CipherSuiteIDs: chromiumSuites[:], Extensions: extensions}, nil
}

// keyShares returns the shares of X25519MLKEM768 and X25519. They are not used:
// the other end chooses DTLS 1.2, which exchanges keys later.
func keyShares() ([]byte, error) {
	hybrid, err := mlkem.GenerateKey768()
	if err != nil {
		return nil, err
	}
	share := hybrid.EncapsulationKey().Bytes()
	var list []byte
	for _, group := range []uint16{0x11ec, 0x001d} {
		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		share = append(share, key.PublicKey().Bytes()...)
		list = binary.BigEndian.AppendUint16(list, group)
		list = binary.BigEndian.AppendUint16(list, uint16(len(share)))
		list = append(list, share...)
		share = nil
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(list))), list...), nil
}

// rawExtension is an extension by its bytes.
type rawExtension struct {
	kind extension.TypeValue
	body []byte
}

func (e *rawExtension) TypeValue() extension.TypeValue { return e.kind }

func (e *rawExtension) Marshal() ([]byte, error) {
	out := binary.BigEndian.AppendUint16(nil, uint16(e.kind))
	out = binary.BigEndian.AppendUint16(out, uint16(len(e.body)))
	return append(out, e.body...), nil
}

func (e *rawExtension) Unmarshal(data []byte) error {
	if len(data) < 4 || len(data) < 4+int(binary.BigEndian.Uint16(data[2:])) {
		return fmt.Errorf("a TLS extension of %d bytes is cut short", len(data))
	}
	e.kind = extension.TypeValue(binary.BigEndian.Uint16(data))
	e.body = slices.Clone(data[4 : 4+int(binary.BigEndian.Uint16(data[2:]))])
	return nil
}

// Where the parts of a packet with a handshake message are, by RFC 6347.
const (
	recordHeader    = 13
	recordVersion   = 1
	recordLength    = 11
	messageHeader   = 12
	fragmentOffset  = recordHeader + 6
	fragmentLength  = recordHeader + 9
	fragmentContent = recordHeader + messageHeader
	// chromiumPacket is the length of Chromium's longest handshake packet.
	chromiumPacket = 1200
)

// packet returns a packet as Chromium sends it. It changes those with a
// ClientHello: their record says DTLS 1.0, and they are cut where Chromium cuts
// them. Nothing protects these headers.
func (h *hello) packet(p []byte) []byte {
	if !h.browser.Load() || len(p) < fragmentContent || p[0] != 22 || p[recordHeader] != byte(handshake.TypeClientHello) {
		return p
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	content := p[fragmentContent:]
	if u24(p[fragmentLength:]) != len(content) {
		return p // more than one message
	}
	offset := u24(p[fragmentOffset:])
	if offset > 0 && len(h.tail) > 0 {
		content, offset = append(slices.Clone(h.tail), content...), offset-len(h.tail)
	}
	h.tail = nil
	if most := chromiumPacket - fragmentContent; offset == 0 && len(content) > most {
		h.tail = slices.Clone(content[most:])
		content = content[:most]
	}
	out := append(slices.Clone(p[:fragmentContent]), content...)
	out[recordVersion], out[recordVersion+1] = 0xfe, 0xff
	binary.BigEndian.PutUint16(out[recordLength:], uint16(messageHeader+len(content)))
	putU24(out[fragmentOffset:], offset)
	putU24(out[fragmentLength:], len(content))
	return out
}

func u24(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }

func putU24(b []byte, v int) { b[0], b[1], b[2] = byte(v>>16), byte(v>>8), byte(v) }
