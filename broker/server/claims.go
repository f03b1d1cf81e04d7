package server

import (
	"sync"
	"time"

	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/common/api"
)

// accusationGap is for how long a user's bad word about an agent is the last one
// that counts. Who cannot be reached, or wants an agent out of the way, would put
// it to rest for everybody otherwise.
const accusationGap = 10 * time.Minute

// claim is a job that an agent has taken on, and what was heard of it since.
type claim struct {
	need    scheduler.Need
	session time.Duration
	at      time.Time
	// offered is when its client came with it first, and expected what the build
	// was expected to take here.
	offered  time.Time
	expected time.Duration
	// warmth is what the agent had left of earlier builds then.
	warmth scheduler.Warmth

	mu sync.Mutex
	// answering: the agent has sent an answer.
	answering bool
	// answered: the client has got the agent's answer.
	answered bool
	// reported and confirmed are the outcome in the words of the agent and of
	// the client; empty while they have said nothing.
	reported, confirmed api.Outcome
	// judged: something was learned of it, which counts once.
	judged bool
}

// handedBack tells whether the agent may take the job on as if for the first
// time, as when it had no room before.
func (c *claim) handedBack() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.answered && !c.judged
}

// answers notes that the agent has sent an answer, and tells whether it is the
// first.
func (c *claim) answers() (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first, c.answering = !c.answering, true
	return first
}

// answer notes that the client has got the agent's answer.
func (c *claim) answer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered = true
}

// report takes the agent's word, and returns what is to be learned by it.
func (c *claim) report(o api.Outcome) scheduler.Verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reported = o
	return c.judge(func() bool { return false })
}

// What becomes of a client's word.
type confirming int

const (
	confirmedNow confirming = iota
	confirmedBefore
	confirmedOtherwise
	unanswered
)

// confirm takes the client's word, and returns what is to be learned by it.
// mayAccuse is asked where the client alone speaks against the agent.
func (c *claim) confirm(o api.Outcome, mayAccuse func() bool) (confirming, scheduler.Verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.answered:
		return unanswered, 0
	case c.confirmed == o:
		return confirmedBefore, 0
	case c.confirmed != "":
		return confirmedOtherwise, 0
	}
	c.confirmed = o
	return confirmedNow, c.judge(mayAccuse)
}

// late returns what is to be learned of an agent that did not answer in time.
func (c *claim) late() scheduler.Verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.judged {
		return 0
	}
	c.judged = true
	return scheduler.Failed
}

// judge returns the verdict, or 0 while there is none and after the first. The
// caller holds c.mu.
func (c *claim) judge(mayAccuse func() bool) scheduler.Verdict {
	v, accused := verdict(c.reported, c.confirmed)
	if v == 0 || c.judged || accused && !mayAccuse() {
		return 0
	}
	c.judged = true
	return v
}

// verdict is what the words of an agent and of its client say of the agent; each
// may be missing. It is 0 if they say nothing. accused tells that the client alone
// speaks against the agent.
//
// An agent is believed when it blames itself, and never when it praises itself. A
// client that has got what it wanted is believed whatever the agent says. Errors in
// the user's source and limits that the user has set are nobody's merit or fault,
// and would take the place of results in the history.
func verdict(reported, confirmed api.Outcome) (v scheduler.Verdict, accused bool) {
	switch {
	case confirmed == api.OutcomeSucceeded:
		return scheduler.Built, false
	case reported == api.OutcomeAgentFailed:
		return scheduler.Failed, false
	case confirmed == api.OutcomeAgentFailed, confirmed == api.OutcomeLost:
		return scheduler.Failed, true
	}
	return 0, false
}
