// Package envelope protects the offers, answers and candidates that a client and
// an agent exchange through the broker: it seals them, so that brokers and
// proxies cannot read them, and signs answers, so that these cannot replace them.
//
//	client                         broker, CDN, caches          agent
//	SealOffer ── age to the candidates' sealing keys ────────▶ OpenOffer
//	   keeps an ephemeral key       (sees no SDP)                 │
//	OpenAnswer ◀── age to that ephemeral key ──────────────── SealAnswer
//	   checks the agent's SSHSIG over job, offer, answer,
//	   DTLS fingerprint
//
// # Sealing
//
// A sealed body is an age file (age-encryption.org/v1, X25519). The agent signs its
// sealing key with its SSH key, so that a broker cannot substitute its own key; the
// client verifies that before it encrypts. The client makes a reply key for each
// job and sends it inside the sealed offer.
//
// # Plain bodies
//
// A browser needs no age: an offer may also be the plain JSON of an
// RTCSessionDescription, {"type":"offer","sdp":"…"}, and its answer is plain, too.
// The answer is signed in either case, in a member that browsers ignore.
//
// Inside an envelope is the same JSON. Callers pass and get the SDP alone; each
// end encodes or decodes a description once.
package envelope

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/farforge/farforge/common/api"
)

// SSHSIG namespaces.
const (
	NamespaceAnswer  = "job-answer@farforge"
	NamespaceSealing = "sealing-key@farforge"
)

// ageMagic is the first line of every age file.
var ageMagic = []byte("age-encryption.org/v1\n")

// Sealed reports whether an offer or an answer is sealed. A broker cannot know
// more about it.
func Sealed(body []byte) bool { return bytes.HasPrefix(body, ageMagic) }

// Values of description.Type.
const (
	typeOffer  = "offer"
	typeAnswer = "answer"
)

// description is an RTCSessionDescription with members of this protocol beside
// its own.
type description struct {
	Type string `json:"type"`
	SDP  string `json:"sdp"`
	// ReplyTo is the age recipient to seal the answer to.
	ReplyTo string `json:"reply_to,omitempty"`
	// Agent proves which agent made the answer.
	Agent *Proof `json:"agent,omitempty"`
}

// Proof is an agent's signature on its answer.
type Proof struct {
	// PublicKey is the agent's, one line in OpenSSH format.
	PublicKey string `json:"public_key"`
	// DTLSFingerprint is the fingerprint of the certificate that the agent will
	// present, in the form of RFC 8122.
	DTLSFingerprint string `json:"dtls_fingerprint"`
	// Signature is an armored SSHSIG in NamespaceAnswer.
	Signature string `json:"signature"`
}

// encode returns the JSON of a description.
func (d *description) encode() ([]byte, error) {
	body, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode the %s: %w", d.Type, err)
	}
	return body, nil
}

// decode reads a description of the given type.
func decode(body []byte, want string) (*description, error) {
	if len(body) > api.MaxOffer {
		return nil, fmt.Errorf("the %s is %d bytes long, at most %d are allowed", want, len(body), api.MaxOffer)
	}
	var d description
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, fmt.Errorf("the %s is not a session description: %w", want, err)
	}
	if d.Type != want {
		return nil, fmt.Errorf("the type of the session description is %q, not %q", d.Type, want)
	}
	return &d, nil
}

// maxPlain leaves room for the age header below api.MaxOffer.
const maxPlain = api.MaxOffer - 8<<10
