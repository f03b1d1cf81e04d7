// Package envelope protects what a client and an agent say to each other
// through the broker: it seals offers and answers so that nobody in between
// reads them, and signs answers so that nobody in between replaces them.
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
// A sealed body is an age file (age-encryption.org/v1, X25519). An agent's
// sealing key is bound to its SSH key by a signature, so that a broker cannot
// put its own key in place; the client checks that before it encrypts. The
// client's reply key is made for one job and travels inside the sealed offer.
//
// # Plain bodies
//
// A browser needs no age: an offer may also be the plain JSON of an
// RTCSessionDescription, and is then answered in plain. The answer is signed
// in either case, in a member that browsers pass over.
package envelope

import (
	"bytes"

	"github.com/farforge/farforge/common/api"
)

// SSHSIG namespaces.
const (
	NamespaceAnswer  = "job-answer@farforge"
	NamespaceSealing = "sealing-key@farforge"
)

// ageMagic is how every age file begins.
var ageMagic = []byte("age-encryption.org/v1\n")

// Sealed tells whether an offer or an answer is sealed. That is all that a
// broker can know about it.
func Sealed(body []byte) bool { return bytes.HasPrefix(body, ageMagic) }

// description is the JSON of an RTCSessionDescription with our members beside.
type description struct {
	Type string `json:"type"`
	SDP  string `json:"sdp"`
	// ReplyTo is the age recipient for the answer to a sealed offer.
	ReplyTo string `json:"reply_to,omitempty"`
	// Agent proves who made the answer.
	Agent *Proof `json:"agent,omitempty"`
}

// Proof is an agent's signature on its answer.
type Proof struct {
	// PublicKey is the agent's, one line in OpenSSH format.
	PublicKey string `json:"public_key"`
	// DTLSFingerprint is that of the certificate the agent will present, in
	// the form of RFC 8122.
	DTLSFingerprint string `json:"dtls_fingerprint"`
	// Signature is an armored SSHSIG in NamespaceAnswer.
	Signature string `json:"signature"`
}

// maxPlain leaves room for the age header below api.MaxOffer.
const maxPlain = api.MaxOffer - 8<<10
