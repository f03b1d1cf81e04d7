// Package peer joins a client and an agent over WebRTC: the part of the set-up
// that both ends share. It knows nothing of brokers; offers and answers go in
// and out as bytes.
//
//	client                                   agent
//	NewOffer ── offer ─────────────────────▶ NewAnswer
//	Connect  ◀────────────────────── answer ─┘
//	   │ ◀═══════ ICE, DTLS, SCTP ═════════▶ │
//	Channel("espctl") ◀════════════════════▶ Channel("espctl")
//
// An offer or answer is the JSON that browsers make of an
// RTCSessionDescription: {"type":"offer","sdp":"…"}. Candidates that are not in
// it follow by themselves if both ends can do that (RFC 8838); see [Trickle]. A
// description without "a=ice-options:trickle" has all of them, and so has the
// answer to it.
//
// Both ends use a fresh ECDSA P-256 certificate for each connection. Its
// fingerprint is what a grant is bound to, so the agent compares
// [Conn.RemoteFingerprint], which is that of the certificate actually presented
// in the DTLS handshake, before it acts on anything.
package peer
