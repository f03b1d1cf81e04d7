package rendezvous

// Holder returns which agent holds or held the last claim on the job. known is
// false if the job is unknown, or was never claimed.
func (r *Rendezvous) Holder(jobID string) (agent string, known bool) {
	j, ok := r.jobs.Get(jobID)
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

// maxRefusals is how often an agent may refuse one job before it is not asked
// again. An agent may be asked for more than it has, when a job and the news of
// another cross on the way; its next poll tells what it really has.
const maxRefusals = 3

// Refuse ends the agent's claim on the job, if it holds one. The job goes on
// to the next candidate that is parked and fits, which may be the same agent
// once it has polled again; if final, or after some refusals, it may not.
func (r *Rendezvous) Refuse(jobID, agent string, final bool) {
	j, ok := r.jobs.Get(jobID)
	if !ok {
		return
	}
	over, attended := j.refuse(r, agent, final)
	if over {
		r.unlink(j)
	} else if attended {
		r.dispatch(j)
	}
}

func (j *job) refuse(r *Rendezvous, agent string, final bool) (over, attended bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.is(claimed) || j.candidates[j.holder] != agent {
		return false, false
	}
	if j.refusals == nil {
		j.refusals = make([]uint8, len(j.candidates))
	}
	j.refusals[j.holder]++
	r.stats.refused.Add(1)
	if final || j.refusals[j.holder] >= maxRefusals {
		over = !j.revoke(r)
	} else {
		j.unclaim(r)
		j.set(waiting)
	}
	attended = j.call != nil
	if !over && !attended {
		j.set(away)
	}
	j.call.notify()
	return over, attended
}
