package envelope

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// ErrUntrusted is wrapped by every error that means that somebody in between
// has changed something, or is not who it claims to be.
var ErrUntrusted = errors.New("the agent's answer cannot be trusted")

// Offer is a client's offer and what it takes to judge the answer.
type Offer struct {
	// Body is what to send to the broker.
	Body []byte

	plain      []byte
	reply      *Key // nil when the offer is not sealed
	candidates []api.Candidate
}

// PlainOffer sends the offer as it is, readable for the broker.
func PlainOffer(offer []byte, candidates []api.Candidate) *Offer {
	return &Offer{Body: offer, plain: offer, candidates: candidates}
}

// SealOffer seals the offer to the candidates. A candidate without a sealing
// key that is its own is an error: it may be the broker itself.
func SealOffer(offer []byte, candidates []api.Candidate) (*Offer, error) {
	if len(candidates) == 0 {
		return nil, fmt.Errorf("seal the offer: there is no candidate to seal it to")
	}
	var d description
	if err := json.Unmarshal(offer, &d); err != nil {
		return nil, fmt.Errorf("seal the offer: %w", err)
	}
	recipients := make([]string, 0, len(candidates))
	for _, c := range candidates {
		agent, err := identity.ParseAuthorizedLine(c.PublicKey)
		if err != nil {
			return nil, fmt.Errorf("seal the offer: %w: candidate %s: %w", ErrUntrusted, c.Name, err)
		}
		if agent.Fingerprint != c.Fingerprint {
			return nil, fmt.Errorf("seal the offer: %w: candidate %s has the key %s, not %s", ErrUntrusted, c.Name, agent.Fingerprint, c.Fingerprint)
		}
		if err := CheckBinding(agent.Key, c.Sealing); err != nil {
			return nil, fmt.Errorf("seal the offer: %w: candidate %s: %w", ErrUntrusted, c.Name, err)
		}
		recipients = append(recipients, c.Sealing.Recipient)
	}
	reply, err := NewKey()
	if err != nil {
		return nil, err
	}
	d.ReplyTo = reply.Recipient()
	plain, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("seal the offer: %w", err)
	}
	body, err := seal(plain, recipients...)
	if err != nil {
		return nil, err
	}
	return &Offer{Body: body, plain: plain, reply: reply, candidates: candidates}, nil
}

// Answer is an agent's answer whose signature holds.
type Answer struct {
	// SDP is the JSON of an RTCSessionDescription.
	SDP []byte
	// Agent is who signed it. Whether that agent is trusted is the caller's to
	// judge.
	Agent     ssh.PublicKey
	Candidate api.Candidate
	// DTLSFingerprint is that of the certificate that the agent promises to
	// present, in the form of RFC 8122.
	DTLSFingerprint string
}

// OpenAnswer opens the answer to the offer and checks that one of the
// candidates has signed it, for this job, this offer and this answer. Every
// failure wraps ErrUntrusted.
func (o *Offer) OpenAnswer(jobID string, body []byte) (*Answer, error) {
	if o.reply != nil {
		if !Sealed(body) {
			return nil, fmt.Errorf("%w: a sealed offer was answered in plain", ErrUntrusted)
		}
		var err error
		if body, err = o.reply.open(body); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
		}
	}
	var d description
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, fmt.Errorf("%w: it is no session description: %w", ErrUntrusted, err)
	}
	if d.Agent == nil {
		return nil, fmt.Errorf("%w: no agent has signed it", ErrUntrusted)
	}
	agent, err := identity.ParseAuthorizedLine(d.Agent.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	i := slices.IndexFunc(o.candidates, func(c api.Candidate) bool { return c.Fingerprint == agent.Fingerprint })
	if i < 0 {
		return nil, fmt.Errorf("%w: %s signed it, which is none of the candidates", ErrUntrusted, agent.Fingerprint)
	}
	claim := claimBytes(jobID, o.plain, d.SDP, d.Agent.DTLSFingerprint)
	if err := identity.Verify(agent.Key, NamespaceAnswer, claim, d.Agent.Signature); err != nil {
		return nil, fmt.Errorf("%w: somebody in between has changed the offer or the answer: %w", ErrUntrusted, err)
	}
	sdp, err := json.Marshal(description{Type: d.Type, SDP: d.SDP})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	return &Answer{SDP: sdp, Agent: agent.Key, Candidate: o.candidates[i], DTLSFingerprint: d.Agent.DTLSFingerprint}, nil
}
