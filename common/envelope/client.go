package envelope

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// ErrUntrusted is wrapped by every error that means that a message was changed on
// its way, or that its sender is not the agent that it claims to be.
var ErrUntrusted = errors.New("the agent's answer cannot be trusted")

// Offer is a client's offer with the secrets and keys that judge its answer.
type Offer struct {
	// Body is the offer as the broker gets it.
	Body []byte

	plain      []byte // its JSON
	reply      *Key   // nil when the offer is not sealed
	candidates []api.Candidate
}

// PlainOffer makes an offer of an SDP that the broker can read.
func PlainOffer(sdp string, candidates []api.Candidate) (*Offer, error) {
	body, err := (&description{Type: typeOffer, SDP: sdp}).encode()
	if err != nil {
		return nil, err
	}
	return &Offer{Body: body, plain: body, candidates: candidates}, nil
}

// SealOffer makes an offer of an SDP, sealed to the candidates. A candidate
// without a sealing key of its own is an error: it may be the broker itself.
func SealOffer(sdp string, candidates []api.Candidate) (*Offer, error) {
	if len(candidates) == 0 {
		return nil, fmt.Errorf("seal the offer: the grant has no candidates")
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
	plain, err := (&description{Type: typeOffer, SDP: sdp, ReplyTo: reply.Recipient()}).encode()
	if err != nil {
		return nil, err
	}
	body, err := seal(plain, recipients...)
	if err != nil {
		return nil, err
	}
	return &Offer{Body: body, plain: plain, reply: reply, candidates: candidates}, nil
}

// Answer is an agent's answer whose signature holds.
type Answer struct {
	SDP string
	// Agent is the key that signed it. The caller judges whether that agent is
	// trusted.
	Agent     ssh.PublicKey
	Candidate api.Candidate
	// DTLSFingerprint is the fingerprint of the certificate that the agent
	// promises to present, in the form of RFC 8122.
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
	d, err := decode(body, typeAnswer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
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
		return nil, fmt.Errorf("%w: %s signed it, and is not among the candidates", ErrUntrusted, agent.Fingerprint)
	}
	claim := claimBytes(jobID, o.plain, d.SDP, d.Agent.DTLSFingerprint)
	if err := identity.Verify(agent.Key, NamespaceAnswer, claim, d.Agent.Signature); err != nil {
		return nil, fmt.Errorf("%w: the offer or the answer was changed on its way: %w", ErrUntrusted, err)
	}
	return &Answer{SDP: d.SDP, Agent: agent.Key, Candidate: o.candidates[i], DTLSFingerprint: d.Agent.DTLSFingerprint}, nil
}
