package jobs

import (
	"time"

	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/common/api"
)

// claim records what one agent has done with a job. It is guarded by the job's
// mutex.
type claim struct {
	agent     string
	candidate int // index in the job's candidates
	// number is that of the claim among those of the job, from 1.
	number int
	at     time.Time
	// expected is the expected duration of the build here, and warmth whether the
	// agent had a workspace of the project.
	expected time.Duration
	warmth   scheduler.Warmth

	refusals  int    // that were counted
	refused   int    // number of the claim that was refused last
	signature string // of that refusal

	// answered reports whether the client has the agent's answer.
	answered bool
	// reported and confirmed are the outcome as the agent and the client report
	// it; empty before.
	reported, confirmed api.Outcome
	// judged reports whether the scheduler has learned from it, which happens
	// once.
	judged bool
}

// claims are those of one job, one for each agent that has claimed it. They are
// guarded by the job's mutex.
type claims struct {
	first    claim // of the first agent
	others   []*claim
	holder   *claim // the last claim
	number   int    // of claims so far
	excluded uint64 // a bit for each candidate that does not get the job again
}

// of returns the agent's claim, and creates a missing one.
func (all *claims) of(agent string, candidate int, now time.Time) *claim {
	if c := all.find(agent); c != nil {
		return c
	}
	c := &all.first
	if c.agent != "" {
		c = new(claim)
		all.others = append(all.others, c)
	}
	*c = claim{agent: agent, candidate: candidate, at: now}
	return c
}

func (all *claims) find(agent string) *claim {
	if agent == "" {
		return nil
	}
	if all.first.agent == agent {
		return &all.first
	}
	for _, c := range all.others {
		if c.agent == agent {
			return c
		}
	}
	return nil
}

func (all *claims) isExcluded(candidate int) bool { return all.excluded&(1<<candidate) != 0 }

// heldBy reports whether the agent's claim is the job's last.
func (all *claims) heldBy(agent string) bool { return all.holder != nil && all.holder.agent == agent }

// begin starts the claim, or starts it again.
func (c *claim) begin(number int, now time.Time, expected time.Duration, w scheduler.Warmth) {
	c.number, c.at, c.expected, c.warmth = number, now, expected, w
}

// refuse counts a refusal and reports whether it is new. A refusal belongs to its
// claim: a repeated one must not end a claim that the agent has made since. Older
// agents do not send the number of the claim; their repeated reports have the same
// signature.
func (c *claim) refuse(rep *api.Report) (news bool) {
	switch {
	case c.number == 0: // claimed before a restart of the broker
		news = c.refusals == 0
	case rep.Claim != 0:
		news = rep.Claim == c.number && c.refused != c.number
	default:
		news = rep.Signature != c.signature
	}
	if news {
		c.refusals++
		c.refused, c.signature = c.number, rep.Signature
	}
	return news
}

// report takes the agent's outcome and returns the verdict, or 0.
func (c *claim) report(o api.Outcome) scheduler.Verdict {
	c.reported = o
	return c.judge(func() bool { return false })
}

// confirm takes the client's outcome and returns the verdict, or 0. It calls
// mayAccuse if only the client blames the agent.
func (c *claim) confirm(o api.Outcome, mayAccuse func() bool) (again bool, v scheduler.Verdict, err error) {
	switch c.confirmed {
	case "":
		c.confirmed = o
		return false, c.judge(mayAccuse), nil
	case o:
		return true, 0, nil
	default:
		return false, 0, ErrConfirmedOtherwise
	}
}

// late returns the verdict on an agent that did not answer in time, or 0.
func (c *claim) late() scheduler.Verdict {
	if c.judged {
		return 0
	}
	c.judged = true
	return scheduler.Failed
}

// judge returns the verdict, or 0 while there is none and after the first.
func (c *claim) judge(mayAccuse func() bool) scheduler.Verdict {
	v, accused := verdict(c.reported, c.confirmed)
	if v == 0 || c.judged || accused && !mayAccuse() {
		return 0
	}
	c.judged = true
	return v
}

// verdict judges an agent by the outcomes that it reports and that its client
// confirms; each may be missing. It is 0 without a judgment. accused: only the client
// blames the agent.
//
// An agent is believed when it blames itself, and never when it praises itself. A
// client whose build succeeded is believed whatever the agent reports. Errors in
// the user's source and the user's own limits are not results of the agent: they
// would displace results in the history.
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
