package envelope

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// Received is an offer that an agent has opened.
type Received struct {
	SDP string
	// Sealed reports whether the offer was sealed.
	Sealed bool

	plain   []byte // its JSON
	replyTo string
}

// OpenOffer opens an offer with the agent's sealing key. A plain offer needs no
// key.
func OpenOffer(key *Key, body []byte) (*Received, error) {
	r := &Received{plain: body, Sealed: Sealed(body)}
	if r.Sealed {
		var err error
		if r.plain, err = key.open(body); err != nil {
			return nil, err
		}
	}
	d, err := decode(r.plain, typeOffer)
	if err != nil {
		return nil, fmt.Errorf("open the offer: %w", err)
	}
	if r.Sealed && d.ReplyTo == "" {
		return nil, errors.New("open the offer: it is sealed and names no key to reply to")
	}
	r.SDP, r.replyTo = d.SDP, d.ReplyTo
	return r, nil
}

// SealAnswer makes the answer to the received offer of an SDP: signed with the
// agent's key, and sealed if the offer was. fingerprint is the fingerprint of the
// agent's DTLS certificate, in the form of RFC 8122.
func (r *Received) SealAnswer(agent *identity.Key, jobID, sdp, fingerprint string) ([]byte, error) {
	signature, err := agent.Sign(NamespaceAnswer, claimBytes(jobID, r.plain, sdp, fingerprint))
	if err != nil {
		return nil, fmt.Errorf("sign the answer: %w", err)
	}
	proof := &Proof{PublicKey: agent.PublicLine(""), DTLSFingerprint: fingerprint, Signature: signature}
	plain, err := (&description{Type: typeAnswer, SDP: sdp, Agent: proof}).encode()
	if err != nil {
		return nil, err
	}
	if !r.Sealed {
		if len(plain) > api.MaxOffer {
			return nil, fmt.Errorf("sign the answer: %d bytes, at most %d are allowed", len(plain), api.MaxOffer)
		}
		return plain, nil
	}
	return seal(plain, r.replyTo)
}

// claimBytes returns the text that an agent signs for its answer: one line for
// each field.
func claimBytes(jobID string, offer []byte, answerSDP, fingerprint string) []byte {
	return fmt.Appendf(nil, "farforge answer v1\njob %q\noffer sha256 %x\nanswer sha256 %x\ndtls sha-256 %q\n",
		jobID, sha256.Sum256(offer), sha256.Sum256([]byte(answerSDP)), fingerprint)
}
