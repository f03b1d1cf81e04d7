package jobs

import (
	"bytes"
	"sync/atomic"
	"time"

	"github.com/farforge/farforge/common/api"
)

// mailbox passes candidates between the two ends of a job while they connect:
//
//	client                 mailbox of the job                agent
//	candidate ────────▶ 1 2 3 … for the agent ─────────────▶ events
//	events ◀─────────── 1 2 … for the client  ◀───────────── candidate, answer
//
// Each direction is a list that only grows, numbered from 1. A reader names the
// last number that it has, so that nothing is lost with a broken connection and
// nothing has to be acknowledged. A sender that is not sure that a candidate has
// arrived sends it again: the list has it once.
//
// The list for the agent begins with the client's first candidate, which may be
// posted before the offer. The agent that claims the job reads it from the start.
// When the job goes to another agent, the candidates of the first stay, and the
// client finds that they do not belong to the answer that it got. The answer is in
// the list for the client, too.
//
// Everything is bounded: candidates of one agent or client, bytes in all, one
// waiting reader a side. The mailbox is guarded by the job's mutex.
type mailbox struct {
	boxes    [2]box
	lastUsed time.Time
}

// side is the end of a job that reads a box.
type side int

const (
	toClient side = iota
	toAgent
)

// box is the list for one end, and its reader.
type box struct {
	mails  []mail
	reader chan struct{} // closed to wake the one that waits
}

type mail struct {
	agent    int // the sender as a candidate of the job; fromClient for the client
	body     []byte
	isAnswer bool
}

// fromClient is the sender of the mails for the agent.
const fromClient = -1

// put adds a mail to the list for one end, and returns how many bytes it added.
func (m *mailbox) put(to side, in mail) (added int64, err error) {
	b := &m.boxes[to]
	sent := 0
	for i := range b.mails {
		have := &b.mails[i]
		if have.agent != in.agent || have.isAnswer {
			continue
		}
		if sent++; !in.isAnswer && bytes.Equal(have.body, in.body) {
			return 0, nil
		}
	}
	if sent >= api.MaxTrickled && !in.isAnswer {
		return 0, ErrTooManyCandidates
	}
	b.mails = append(b.mails, in)
	m.wake(to)
	return int64(len(in.body)), nil
}

// post adds a candidate, and its bytes to those of all jobs.
func (m *mailbox) post(all *atomic.Int64, to side, in mail) error {
	size := int64(len(in.body))
	if all.Add(size) > maxMail {
		all.Add(-size)
		return ErrMailFull
	}
	added, err := m.put(to, in)
	all.Add(added - size)
	return err
}

// wake ends the wait of the reader.
func (m *mailbox) wake(to side) {
	b := &m.boxes[to]
	if b.reader != nil {
		close(b.reader)
		b.reader = nil
	}
}

// wait makes the caller the only reader of the list, until its channel is closed.
func (m *mailbox) wait(to side) <-chan struct{} {
	ch := make(chan struct{})
	m.boxes[to].reader = ch
	return ch
}

// replaced reports whether another reader has taken the place of this one.
func (m *mailbox) replaced(to side, reader <-chan struct{}) bool {
	now := m.boxes[to].reader
	return reader != nil && now != nil && now != reader
}

// clear drops everything and returns how many bytes that frees.
func (m *mailbox) clear() (freed int64) {
	for i := range m.boxes {
		for _, have := range m.boxes[i].mails {
			freed += int64(len(have.body))
		}
		m.boxes[i].mails = nil
		m.wake(side(i))
	}
	return freed
}
