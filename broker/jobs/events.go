package jobs

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/farforge/farforge/common/api"
)

// End is one end of a job, as its request shows it: the agent with the
// fingerprint, or the client with its ticket if that is empty.
type End struct {
	JobID  string
	Agent  string
	Ticket Ticket
}

func (b *Board) jobOf(e End) (*Job, error) {
	if e.Agent == "" {
		return b.jobs.open(b, e.Ticket)
	}
	j, err := b.jobs.find(e.JobID)
	if err != nil {
		err = ErrUnclaimed
	}
	return j, err
}

// Candidate passes a candidate to the other end of the job. The client may post
// one before its offer. The board keeps body.
func (b *Board) Candidate(e End, body []byte) error {
	j, err := b.jobOf(e)
	if err != nil {
		return err
	}
	if err = j.candidate(e.Agent, body); err == errForgotten {
		return b.Candidate(e, body)
	}
	return err
}

// Events returns the candidates of the other end, and for the client the answer,
// from number after+1 on: at once if there are any, else as soon as there are. It
// returns none when wait ends first, when a newer request of the same end replaces
// this one, or when the broker drains.
//
// A client that waits for events waits for its agent, too: a job that has no other
// request can be claimed meanwhile.
func (b *Board) Events(ctx context.Context, e End, after int, wait time.Duration) ([]api.Event, error) {
	j, err := b.jobOf(e)
	if err != nil {
		return nil, err
	}
	if e.Agent == "" {
		b.follow(j, j.watch())
		defer j.unwatch()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var reader <-chan struct{}
	for {
		var events []api.Event
		if events, reader, err = j.events(e.Agent, after, reader); err == errForgotten {
			return nil, ErrUnknownJob
		}
		if err != nil || len(events) > 0 || reader == nil {
			return events, err
		}
		select {
		case <-reader:
		case <-timer.C:
			return nil, nil
		case <-b.meet.Draining():
			return nil, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// watch begins a request of the client that waits for events.
func (j *Job) watch() (n next) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.watchers++
	if j.is(away) {
		j.set(waiting)
		n.dispatch = true
	}
	return n
}

// unwatch ends it.
func (j *Job) unwatch() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.watchers--
	j.lastUsed = j.board.now()
	if j.is(waiting) && j.watchers == 0 && j.call == nil {
		j.set(away)
		j.gaveUp = true
		j.room.Keep(j.lastUsed)
	}
}

// events returns the events for the end or, if there are none, the channel of its
// reader, which is nil if a newer reader has replaced it.
func (j *Job) events(agent string, after int, reader <-chan struct{}) ([]api.Event, <-chan struct{}, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	other, _, err := j.endOf(agent)
	if err != nil {
		return nil, nil, err
	}
	own := other.other()
	if j.mail.replaced(own, reader) {
		return nil, nil, nil
	}
	if events := j.collect(own, after); len(events) > 0 {
		return events, nil, nil
	}
	if reader == nil {
		j.mail.wake(own) // an older reader
	}
	return nil, j.mail.wait(own), nil
}

// collect returns the mails from number after+1 on, as many as fit into a
// response. The answer is left out while an offer's request waits for it, and once
// one has fetched it. The caller holds mu.
func (j *Job) collect(own side, after int) (events []api.Event) {
	size := 2
	for i := max(after, 0); i < len(j.mail.boxes[own].mails); i++ {
		m, event := &j.mail.boxes[own].mails[i], api.Event{Seq: i + 1}
		if m.isAnswer {
			if j.call != nil || j.reply == nil || j.fetched && !j.byEvents {
				continue
			}
			event.Answer = j.reply
		} else {
			event.Candidate = m.body
		}
		size += base64.StdEncoding.EncodedLen(len(event.Candidate)+len(event.Answer)) + 64
		if size > api.MaxBody && len(events) > 0 {
			break // the rest is for the next request
		}
		if m.isAnswer {
			j.byEvents = true
			j.fetch()
		}
		events = append(events, event)
	}
	return events
}

func (s side) other() side { return 1 - s }

// endOf returns the box that an end writes to, and the end as a sender. The caller
// holds mu.
func (j *Job) endOf(agent string) (to side, from int, err error) {
	now := j.board.now()
	switch {
	case j.is(forgotten):
		return 0, 0, errForgotten
	case agent == "":
		to, from = toAgent, fromClient
	case j.holder == nil || j.is(granted):
		return 0, 0, ErrUnclaimed
	case !j.heldBy(agent):
		return 0, 0, ErrOtherAgent
	default:
		to, from = toClient, j.holder.candidate
	}
	j.mail.lastUsed = now
	if !j.is(answered) {
		j.lastUsed = now
	}
	return to, from, nil
}
