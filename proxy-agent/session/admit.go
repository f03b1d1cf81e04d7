package session

import (
	"errors"
	"fmt"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/peer"
)

// leeway is the tolerance for a grant's times. The agent knows the broker's clock
// to about a second.
const leeway = 5 * time.Second

var (
	// ErrUnknownKey is wrapped by the error for a grant whose key is not pinned.
	// RefreshKeys may pin it.
	ErrUnknownKey = errors.New("the agent has not pinned the key that the grant names")
	// ErrPlainOffer is wrapped by the error for an offer that is not sealed but
	// must be.
	ErrPlainOffer = errors.New("the offer is not sealed, and this agent accepts only sealed offers (--require-sealed)")
)

// Admitted is a job that may be served.
type Admitted struct {
	Grant *grant.Grant
	offer *envelope.Received
	ice   []api.ICEServer
	near  bool // client and agent seem to share a network
}

// Admit checks whether the agent may serve a job from the broker. It does not use
// up the grant.
func (h *Host) Admit(job *api.Job) (*Admitted, error) {
	h.checkClock()
	g, err := h.trust.verify(job.Grant, h.Clock.Now())
	if err != nil {
		return nil, h.blameClock(err)
	}
	if g.JobID != job.JobID {
		return nil, fmt.Errorf("the grant is for job %s and came with job %s", g.JobID, job.JobID)
	}
	if g.Issuer != h.Broker {
		return nil, fmt.Errorf("the grant was issued by %s and came from %s", g.Issuer, h.Broker)
	}
	// The agent remembers used grants for as long as they live, so that must be
	// short.
	if life := g.ExpiresAt.Sub(g.IssuedAt); life > api.GrantLife+leeway {
		return nil, fmt.Errorf("the grant is valid for %v, and at most %v are accepted", life, api.GrantLife)
	}
	if err := g.CheckAudience(h.Key.Fingerprint()); err != nil {
		return nil, err
	}
	offer, err := envelope.OpenOffer(h.Sealing, job.Offer)
	if err != nil {
		return nil, err
	}
	if h.RequireSealed && !offer.Sealed {
		return nil, ErrPlainOffer
	}
	fingerprint, err := peer.Description(offer.SDP).Fingerprint()
	if err != nil {
		return nil, fmt.Errorf("take the offer: %w", err)
	}
	if err := g.CheckFingerprint(fingerprint); err != nil {
		return nil, err
	}
	return &Admitted{Grant: g, offer: offer, ice: job.ICEServers, near: job.SameNetwork}, nil
}
