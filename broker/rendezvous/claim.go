package rendezvous

import "time"

// Claim is a job that is about to go to an agent.
type Claim struct {
	// Offer is not to be changed, and not to be kept.
	Offer *Offer
	Agent string
	// Offered is when the job was first offered.
	Offered time.Time
	// First: nobody has claimed the job before.
	First bool
}

// take claims the job for candidate i, if it waits and i was not late before.
// full tells that it could have been, but Config.Claim said no. The caller holds
// the agent's mutex.
func (j *job) take(r *Rendezvous, i int) (as *Assignment, full bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.is(waiting) || j.isLate(i) {
		return nil, false
	}
	if r.cfg.Claim != nil && !r.cfg.Claim(Claim{&j.offer, j.candidates[i], j.offered, j.claim == 0}) {
		r.stats.full.Add(1)
		return nil, true
	}
	now := time.Now()
	j.set(claimed)
	j.holder = i
	if j.claim++; j.claim == 1 {
		r.stats.met.Add(1)
	}
	j.answerBy = now.Add(r.cfg.AnswerTimeout)
	j.lastUsed = now
	j.call.notify()
	r.stats.claims.Add(1)
	return &Assignment{Offer: j.offer, AnswerBy: j.answerBy, r: r, job: j, claim: j.claim}, false
}

// unclaim ends the claim, which frees what is reserved for it. The caller holds
// j.mu, and says what the job is next.
func (j *job) unclaim(r *Rendezvous) {
	if r.cfg.Unclaimed != nil {
		r.cfg.Unclaimed(j.id, j.candidates[j.holder])
	}
}

// revoke ends a claim whose agent is not asked again. It returns false if no
// candidate is left. The caller holds j.mu.
func (j *job) revoke(r *Rendezvous) bool {
	j.unclaim(r)
	j.late |= 1 << j.holder
	if j.allLate() {
		j.set(failed)
		j.offer = Offer{}
		j.weigh(r, 0)
		return false
	}
	j.set(waiting)
	return true
}

// HandBack gives up a claim that never reached its agent. The job goes to
// another candidate, or waits on in its old place. A claim that is answered or
// revoked already is left alone.
func (as *Assignment) HandBack() {
	j := as.job
	j.mu.Lock()
	if !j.is(claimed) || j.claim != as.claim {
		j.mu.Unlock()
		return
	}
	j.unclaim(as.r)
	attended := j.call != nil
	if attended {
		j.set(waiting)
	} else {
		j.set(away)
	}
	j.call.notify()
	j.mu.Unlock()
	as.r.stats.handedBack.Add(1)
	if attended {
		as.r.dispatch(j)
	}
}
