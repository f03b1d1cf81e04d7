package rendezvous

import "time"

// Holder returns which agent holds or held the last claim on the job. known is
// false if the job is unknown, or was never claimed.
func (r *Rendezvous) Holder(jobID string) (agent string, known bool) {
	j, ok := r.jobs.get(jobID)
	if !ok {
		return "", false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.claim == 0 {
		return "", false
	}
	return j.candidates[j.holder], true
}

// Refuse ends the agent's claim on the job, if it holds one, as if its time to
// answer were over: the job goes to another candidate.
func (r *Rendezvous) Refuse(jobID, agent string) {
	j, ok := r.jobs.get(jobID)
	if !ok {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.is(claimed) && j.candidates[j.holder] == agent {
		j.answerBy = time.Now()
		j.call.notify() // the blocked offer revokes it
	}
}
