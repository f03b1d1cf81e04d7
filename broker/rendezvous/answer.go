package rendezvous

import (
	"crypto/sha256"
	"time"
)

// Answer passes the agent's answer to the client. Only the agent that holds
// the claim can answer; the same agent may send the same bytes again. It fails
// with ErrUnknownJob, ErrTaken or ErrExpired. The Rendezvous keeps body: the
// caller does not change it. An answer is at least one byte long.
func (r *Rendezvous) Answer(jobID, agent string, body []byte) error {
	j, ok := r.jobs.Get(jobID)
	if !ok {
		return ErrUnknownJob
	}
	if err := j.accept(r, agent, body); err != nil {
		return err
	}
	r.unlink(j)
	return nil
}

func (j *job) accept(r *Rendezvous, agent string, body []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	holds := j.claim > 0 && j.candidates[j.holder] == agent
	switch jobState(j.state.Load()) {
	case dropped:
		return ErrUnknownJob
	case answered:
		if holds && j.sum == sha256.Sum256(body) {
			return nil
		}
		return ErrTaken
	case claimed:
		if holds && now.Before(j.answerBy) {
			j.set(answered)
			j.answer, j.sum = body, sha256.Sum256(body)
			j.offer = Offer{} // only its digest is needed from here on
			j.weigh(r, len(body))
			j.lastUsed = now
			j.call.notify()
			return nil
		}
		if holds {
			return ErrExpired
		}
		return ErrTaken
	}
	// It waits, is away or has failed.
	for i, id := range j.candidates {
		if id == agent && j.isLate(i) {
			return ErrExpired
		}
	}
	return ErrTaken
}
