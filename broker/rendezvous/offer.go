package rendezvous

import (
	"container/list"
	"context"
	"crypto/sha256"
	"time"

	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/grant"
)

// Offer is a client that asks for an answer.
type Offer struct {
	JobID string
	// Client is who offers; another client cannot take the job over.
	Client string
	// User is who is entitled to the job: lines are fair between users.
	User string
	// Token is the signed grant and Grant what it says; Body is the offer. All
	// are passed to the agent unread and unchanged, and belong to the
	// Rendezvous from here on.
	Token string
	Grant *grant.Grant
	Body  []byte
	// Need is what the agent must have free.
	Need capacity.Capacity
	// Candidates are the agents that may claim the job, best first; of more
	// than 64 the rest is ignored.
	Candidates []string
	// Wait is how long to block. A claim that is under way when it ends still
	// gets its time to answer.
	Wait time.Duration
}

func (o *Offer) digest() (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write([]byte(o.Client))
	h.Write([]byte{0})
	h.Write(o.Body)
	h.Sum(sum[:0])
	return sum
}

// Offer blocks until an agent's answer is there and returns it. Otherwise it
// returns *WaitingError when the wait ends first, one of ErrAlreadyOffered,
// ErrCollected, ErrReplaced, ErrNoAnswer, ErrFull, ErrDraining, or the cause
// of ctx. After a WaitingError, ErrDraining or the end of ctx the same offer
// can be made again within Config.Memory and goes on where it was.
//
// A claimed agent that does not answer within Config.AnswerTimeout loses the
// job to the next candidate and is not given it again.
func (r *Rendezvous) Offer(ctx context.Context, o Offer) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if r.isDraining() {
		return nil, ErrDraining
	}
	if len(o.Candidates) > maxCandidates {
		o.Candidates = o.Candidates[:maxCandidates]
	}
	j, c, err := r.attach(o)
	if err != nil {
		return nil, err
	}
	r.stats.offering.Add(1)
	defer r.stats.offering.Add(-1)
	r.dispatch(j)
	return r.attend(ctx, j, c, time.Now().Add(o.Wait))
}

// attach finds or makes the job and becomes its only attendant.
func (r *Rendezvous) attach(o Offer) (*job, *call, error) {
	digest := o.digest()
	c := &call{wake: make(chan struct{}, 1)}
	p := r.jobs.Of(o.JobID)
	p.Lock()
	j := p.Entries[o.JobID]
	if j == nil {
		defer p.Unlock()
		if r.stats.jobs.Load() >= r.cfg.MaxJobs || r.stats.bytes.Load() >= r.cfg.MaxBytes {
			return nil, nil, ErrFull
		}
		r.stats.jobs.Add(1)
		now := time.Now()
		j = &job{
			id: o.JobID, digest: digest, user: o.User, need: o.Need, candidates: o.Candidates,
			ticket: r.ticket.Add(1), places: make([]*list.Element, len(o.Candidates)),
			offer: o, call: c, offered: now, lastUsed: now, waiters: &r.stats.waiting,
		}
		r.stats.waiting.Add(1)
		j.weigh(r, len(o.Body))
		p.Entries[o.JobID] = j
		return j, c, nil
	}
	j.mu.Lock() // under the shard's lock, so that it is not being swept
	p.Unlock()
	defer j.mu.Unlock()
	if j.digest != digest {
		return nil, nil, ErrAlreadyOffered
	}
	j.call.notify() // the older call sees that it is replaced
	j.call = c
	j.lastUsed = time.Now()
	if j.is(away) {
		j.set(waiting)
	}
	if !j.over() {
		j.offer.Token, j.offer.Grant = o.Token, o.Grant
	}
	return j, c, nil
}
