package envelope

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// Received is an offer in the hands of the agent.
type Received struct {
	// SDP is the JSON of an RTCSessionDescription.
	SDP []byte
	// Sealed tells whether the offer was.
	Sealed bool

	plain   []byte
	replyTo string
}

// OpenOffer opens an offer with the agent's sealing key. A plain offer is taken
// as it is.
func OpenOffer(key *Key, body []byte) (*Received, error) {
	r := &Received{plain: body, SDP: body}
	if !Sealed(body) {
		return r, nil
	}
	plain, err := key.open(body)
	if err != nil {
		return nil, err
	}
	var d description
	if err := json.Unmarshal(plain, &d); err != nil {
		return nil, fmt.Errorf("open the envelope: it holds no session description: %w", err)
	}
	if d.ReplyTo == "" {
		return nil, fmt.Errorf("open the envelope: it names no key to reply to")
	}
	return &Received{SDP: plain, Sealed: true, plain: plain, replyTo: d.ReplyTo}, nil
}

// SealAnswer signs the answer to the received offer with the agent's key, and
// seals it if the offer was sealed. fingerprint is that of the agent's DTLS
// certificate, in the form of RFC 8122.
func (r *Received) SealAnswer(agent *identity.Key, jobID string, answer []byte, fingerprint string) ([]byte, error) {
	var d description
	if err := json.Unmarshal(answer, &d); err != nil {
		return nil, fmt.Errorf("sign the answer: %w", err)
	}
	signature, err := agent.Sign(NamespaceAnswer, claimBytes(jobID, r.plain, d.SDP, fingerprint))
	if err != nil {
		return nil, fmt.Errorf("sign the answer: %w", err)
	}
	d.Agent = &Proof{PublicKey: agent.PublicLine(""), DTLSFingerprint: fingerprint, Signature: signature}
	plain, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("sign the answer: %w", err)
	}
	if !r.Sealed {
		if len(plain) > api.MaxOffer {
			return nil, fmt.Errorf("sign the answer: %d bytes, at most %d are allowed", len(plain), api.MaxOffer)
		}
		return plain, nil
	}
	return seal(plain, r.replyTo)
}

// claimBytes is what an agent signs about its answer: one line a field.
func claimBytes(jobID string, offer []byte, answerSDP, fingerprint string) []byte {
	return fmt.Appendf(nil, "farforge answer v1\njob %q\noffer sha256 %x\nanswer sha256 %x\ndtls sha-256 %q\n",
		jobID, sha256.Sum256(offer), sha256.Sum256([]byte(answerSDP)), fingerprint)
}
