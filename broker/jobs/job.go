package jobs

import (
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"

	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/broker/rendezvous"
	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/common/api"
)

// Job is the record of one job. Each method of this file is one event of its life,
// in the order in which they happen; the package comment draws the states. An
// event changes the record under its mutex and returns what the board does next,
// once the record is unlocked.
type Job struct {
	board *Board
	id    string

	// The contents of the grant, fixed before the job is offered.
	client  string // fingerprint of the client's DTLS certificate
	user    string
	need    scheduler.Need
	session time.Duration
	from    netip.Addr // of the grant's request; invalid if another process made the grant
	entry   rendezvous.Entry[*Claim]

	phase

	mu     sync.Mutex
	ticket Ticket // the newest grant
	// choice has the candidates with their scores, for the explanation.
	choice []scheduler.Ranked
	chosen time.Time
	room   *quota.Room // in the user's account

	sdp      []byte            // the offer
	digest   [sha256.Size]byte // of the offer
	offered  time.Time
	call     *call // the client's request that waits for the answer
	watchers int   // the client's requests that wait for events
	gaveUp   bool  // the last request that waited had its response
	queued   bool  // the job is or was in a line

	claims   // by agent
	answerBy time.Time
	timer    *time.Timer // of expire

	reply    []byte            // the answer
	sum      [sha256.Size]byte // of the answer
	fetched  bool              // the client has had the answer
	byEvents bool              // and not in the response to its offer
	mail     mailbox

	lastUsed time.Time
	size     int64 // its share of the board's bytes
	ended    bool  // its end was logged
}

// newJob returns the record of a job whose grant was not offered yet. A record
// without a grant has only an agent's report; grant follows if the client posts an
// offer.
func newJob(b *Board, id string, now time.Time) *Job {
	return &Job{board: b, id: id, lastUsed: now}
}

// grant: the broker has granted the job, or an earlier process has and the client
// shows the signed grant. The caller holds mu or is the only one that knows the
// record.
func (j *Job) grant(t Ticket, need scheduler.Need, from netip.Addr) {
	g := t.Grant
	j.client, j.user, j.session, j.need, j.from = g.PeerFingerprint, g.Subject, sessionOf(g), need, from
	j.ticket = t
	j.entry = rendezvous.Entry[*Claim]{
		Job: j, User: g.Subject, Need: need.Capacity, Candidates: g.Agents[:min(len(g.Agents), maxCandidates)],
	}
}

// offer: the client has posted its offer, for the first time or once more. The
// call is the request that waits for the answer from now on.
func (j *Job) offer(t Ticket, body []byte, c *call) (n next, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now, first := j.board.now(), j.is(granted)
	switch {
	case j.is(forgotten):
		return n, errForgotten
	case j.client != t.Grant.PeerFingerprint, !first && j.digest != sha256.Sum256(body):
		return n, ErrAlreadyOffered
	case first && j.board.stats.bytes.Load() >= j.board.cfg.MaxBytes:
		return n, ErrFull
	}
	if !j.over() {
		if err := j.takeRoom(now); err != nil {
			return n, err
		}
		j.ticket = t
	}
	if first {
		j.digest, j.sdp, j.offered = sha256.Sum256(body), body, now
		j.weigh(len(body))
		j.board.meet.Join(&j.entry)
	}
	j.call.notify() // an older request sees that it is replaced
	j.call, j.lastUsed, j.mail.lastUsed = c, now, now
	if first || j.is(away) {
		j.set(waiting)
	}
	n.dispatch = j.is(waiting)
	return n, nil
}

// Claim gives the job to its candidate i, if the job waits and the agent has
// room. The reservation at the agent and the claim are made together: no two jobs
// get the same core. The Rendezvous calls it for an agent's poll.
func (j *Job) Claim(i int) (*Claim, rendezvous.Result) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.is(waiting) || j.isExcluded(i) {
		return nil, rendezvous.Unavailable
	}
	b, agent, now := j.board, j.entry.Candidates[i], j.board.now()
	expected, ok := b.farm.reserve(j, agent, now)
	if !ok {
		b.stats.full.Add(1)
		return nil, rendezvous.Full
	}
	b.stats.claims.Add(1)
	if j.number == 0 {
		b.stats.met.Add(1)
		b.metrics.queued.Observe(now.Sub(j.offered).Seconds())
	}
	j.number++
	j.holder = j.claims.of(agent, i, now)
	j.holder.begin(j.number, now, expected, b.farm.Warmth(agent, j.need))
	j.room.Begin(now)
	j.set(claimed)
	j.answerBy, j.lastUsed = now.Add(b.cfg.AnswerTimeout), now
	j.expireIn(b.cfg.AnswerTimeout)
	j.mail.wake(toAgent) // a reader of the agent before
	j.call.notify()
	return &Claim{job: j, number: j.number, Agent: agent, AnswerBy: j.answerBy, ticket: j.ticket, offer: j.sdp}, rendezvous.Claimed
}

// handBack: the claim did not reach its agent. The job keeps its place.
func (j *Job) handBack(number int) (n next) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.is(claimed) && j.number == number {
		j.board.stats.handedBack.Add(1)
		j.endClaim(&n, false)
	}
	return n
}

// answer: the agent has sent its answer. The agent that holds the claim may send
// the same bytes again.
func (j *Job) answer(agent string, body []byte) (n next, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now, holds := j.board.now(), j.heldBy(agent)
	switch j.phase.now() {
	case granted, forgotten:
		return n, ErrUnknownJob
	case answered:
		if holds && j.sum == sha256.Sum256(body) {
			return n, nil
		}
		return n, ErrTaken
	case claimed:
		if !holds {
			return n, ErrTaken
		}
		if !now.Before(j.answerBy) {
			return n, ErrExpired
		}
	default: // it waits, is away or has failed
		if c := j.claims.find(agent); c != nil && j.isExcluded(c.candidate) {
			return n, ErrExpired
		}
		return n, ErrTaken
	}
	b, c := j.board, j.holder
	j.set(answered)
	j.reply, j.sum, j.lastUsed = body, sha256.Sum256(body), now
	j.sdp = nil // only its digest is needed from here on
	j.weigh(len(body))
	b.metrics.answer.Observe(now.Sub(c.at).Seconds())
	b.metrics.whole.Observe(now.Sub(j.offered).Seconds())
	b.cfg.Directory.Answer(agent, j.id, c.at.Add(j.session+sessionGrace))
	j.expireIn(c.at.Add(j.session + sessionGrace + time.Millisecond).Sub(now)) // after the reservation
	j.call.notify()
	j.mail.put(toClient, mail{agent: c.candidate, isAnswer: true})
	n.leave = j.queued
	return n, nil
}

// candidate: one end has found an address at which the other may reach it.
func (j *Job) candidate(agent string, body []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	to, from, err := j.endOf(agent)
	if err != nil {
		return err
	}
	return j.mail.post(&j.board.stats.mail, to, mail{agent: from, body: body})
}

// expire: the time of a claim or of a session is over. The job's timer calls it.
func (j *Job) expire() (n next) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.board.now()
	switch {
	case j.is(claimed) && now.Before(j.answerBy): // another claim since
		j.expireIn(j.answerBy.Sub(now))
	case j.is(claimed):
		j.late(&n)
	case j.is(answered):
		n.rematch = j.holder.agent // its reservation has ended
		n.end(j, outcomeUnreported)
	}
	return n
}

// late: the agent that holds the claim did not answer in time. It does not get the
// job again. The caller holds mu.
func (j *Job) late(n *next) {
	j.board.stats.revoked.Add(1)
	n.learn(j, j.holder, j.holder.late(), j.board.now().Sub(j.holder.at))
	j.endClaim(n, true)
}

// refuse: the agent does not take the job that it claimed. It may get the job
// again, unless the refusal is final or one of many. The caller holds mu.
func (j *Job) refuse(n *next, c *claim, final bool) {
	if !j.is(claimed) || c != j.holder {
		return
	}
	j.board.stats.refused.Add(1)
	j.endClaim(n, final || c.refusals >= maxRefusals)
}

// report: an agent reports how the job ended. first is false for a repeated report.
// An agent without a claim in this record may have claimed the job before a restart
// of the broker.
func (j *Job) report(agent string, rep *api.Report) (n next, first bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.holder != nil && j.holder.agent != agent {
		return n, false, ErrNotHolder
	}
	b, now := j.board, j.board.now()
	c := j.claims.find(agent)
	known := c != nil
	if !known {
		c = j.claims.of(agent, 0, now)
	}
	j.lastUsed = now
	if rep.Outcome == api.OutcomeRefused {
		if !c.refuse(rep) {
			return n, false, nil // repeated, or of an earlier claim
		}
		first = c.refusals == 1
		// The agent's status may still count the job, which may run there since
		// before a restart of this broker.
		b.cfg.Directory.Drop(agent, j.id, now)
		j.refuse(&n, c, false)
	} else {
		if first = c.reported == ""; first {
			b.cfg.Directory.Release(agent, j.id, now)
		}
		if rep.Outcome == api.OutcomeAgentFailed {
			j.refuse(&n, c, true)
		}
		n.learn(j, c, c.report(rep.Outcome), now.Sub(c.at))
	}
	n.rematch = agent
	if known && j.is(answered) {
		j.finish(&n, rep, first, now)
	}
	return n, first, nil
}

// confirm: the client confirms how the job ended with an agent. Nothing that is
// reserved is freed: the agent may still be at work. The time is the client's, but
// never more than the broker has seen. again is true for a repeated confirmation.
func (j *Job) confirm(confirmation *api.Confirmation, mayAccuse func() bool) (n next, again bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	c := j.claims.find(confirmation.Agent)
	if c == nil || !c.answered {
		return n, false, ErrNotAnswered
	}
	again, verdict, err := c.confirm(confirmation.Outcome, mayAccuse)
	took := j.board.now().Sub(c.at)
	if claimed := confirmation.DurationMS; claimed > 0 && claimed < took.Milliseconds() {
		took = time.Duration(claimed) * time.Millisecond
	}
	n.learn(j, c, verdict, took)
	return n, again, err
}

// revoke: the agent may not serve any more. A job that it holds goes on to another
// candidate.
func (j *Job) revoke(agent string) (n next) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.heldBy(agent) {
		j.refuse(&n, j.holder, true)
	}
	return n
}

// forget drops the record if it is out of use, or else the bytes that are not
// needed any more.
func (j *Job) forget(now time.Time, crowded bool) (n next, gone bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.call != nil || j.watchers > 0 {
		return n, false
	}
	cfg, idle := &j.board.cfg, now.Sub(j.lastUsed)
	if j.fetched && idle > cfg.AnswerMemory {
		j.reply = nil
		j.weigh(0)
	}
	if now.Sub(j.mail.lastUsed) > cfg.Memory {
		j.board.stats.mail.Add(-j.mail.clear())
	}
	if now.Before(keepUntil(j)) && !(crowded && j.fetched && j.reply == nil) {
		return n, false
	}
	if j.is(away) && j.number == 0 {
		if j.gaveUp {
			j.board.stats.gaveUp.Add(1)
		} else {
			j.board.stats.hungUp.Add(1)
		}
	}
	if !j.is(granted) {
		n.end(j, outcomeGivenUp)
	}
	j.set(forgotten)
	j.weigh(0)
	j.board.stats.mail.Add(-j.mail.clear())
	if j.timer != nil {
		j.timer.Stop()
	}
	n.leave = j.queued
	return n, true
}
