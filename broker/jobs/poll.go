package jobs

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/rendezvous"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// Poll is an agent's request for a job.
type Poll struct {
	Agent identity.Authorized
	// Status is the agent's own. The board keeps it.
	Status *api.Status
	// From is the agent's address.
	From netip.Addr
	// Wait is how long the request may be held.
	Wait time.Duration
}

// Claim is a job in the hands of the agent that claimed it.
type Claim struct {
	Agent string
	// AnswerBy is when the claim ends.
	AnswerBy time.Time

	job    *Job
	number int
	ticket Ticket
	offer  []byte
	parked directory.Poll
}

// Poll waits until the agent claims a job. It returns nil without an error when
// the wait ends without one, or when the broker drains during it.
func (b *Board) Poll(ctx context.Context, p Poll) (*Claim, error) {
	agent := p.Agent.Fingerprint
	b.network.sawAgent(agent, p.From)
	if err := b.cfg.Directory.Update(agent, p.Status, b.now()); err != nil {
		b.cfg.Logger.Warn("an agent's sealing key is not its own; clients do not get it", "agent", p.Agent.Name, "err", err)
	}
	if p.Status.Draining {
		b.meet.EndPoll(agent)
		return nil, ErrAgentDraining
	}
	if b.Draining() {
		return nil, ErrDraining
	}
	parked, listed := b.cfg.Directory.Park(agent)
	if !listed {
		return nil, ErrUnlisted
	}
	c, _, err := b.meet.Park(ctx, rendezvous.Poll{Agent: agent, Wait: p.Wait, Gone: parked.Gone()})
	if err != nil && ctx.Err() != nil { // not a poll that the broker has ended
		b.metrics.vanished.Inc()
		parked.Break()
	}
	parked.End(b.now())
	if _, listed := b.cfg.Directory.Lookup(agent); !listed {
		if c != nil { // it was revoked while it waited; the job goes to another
			c.HandBack()
		}
		return nil, ErrUnlisted
	}
	switch {
	case errors.Is(err, rendezvous.ErrDraining):
		return nil, nil
	case errors.Is(err, rendezvous.ErrSuperseded):
		return nil, ErrSuperseded
	case err != nil:
		return nil, err
	case c != nil:
		c.parked = parked
	}
	return c, nil
}

// Job returns the response to the poll. A grant that waited long is renewed: the agent
// must not find it expired.
func (c *Claim) Job() (*api.Job, error) {
	b, t := c.job.board, c.ticket
	if t.Grant.ExpiresAt.Sub(b.now()) < api.GrantLife/2 {
		var err error
		if t, err = b.signer.renew(t.Grant); err != nil {
			return nil, err
		}
	}
	return &api.Job{
		JobID: c.job.id, Grant: t.Token, Offer: c.offer, Claim: c.number,
		ICEServers: b.iceServers(t.Grant, c.job.from), AnswerBy: c.AnswerBy.UTC(),
		SameNetwork: b.network.beside(c.Agent, c.job.from),
	}, nil
}

// HandBack ends a claim that did not reach its agent. The job goes to another
// candidate, or waits in its old place. A claim that is answered or has ended
// already is left alone.
func (c *Claim) HandBack() { c.job.board.follow(c.job, c.job.handBack(c.number)) }

// Lost hands back a claim whose agent went away while the response was written.
func (c *Claim) Lost() {
	b := c.job.board
	c.HandBack()
	b.metrics.vanished.Inc()
	c.parked.Break()
}

// Answer passes the agent's answer to the client. Only the agent that holds the
// claim can answer; it may send the same bytes again. The board keeps body, which
// is not empty.
func (b *Board) Answer(jobID, agent string, body []byte) error {
	j, err := b.jobs.find(jobID)
	if err != nil {
		return err
	}
	if tooManyCandidates(body) {
		return ErrTooManyInOffer
	}
	n, err := j.answer(agent, body)
	b.follow(j, n)
	return err
}
