package rendezvous

// dispatch gives a waiting job to the first candidate that is parked and fits,
// or puts it into the lines of all of them. It may run at several places at
// once for one job.
func (r *Rendezvous) dispatch(j *job) {
	for i := range j.candidates {
		if r.try(j, i, false) {
			return
		}
	}
	for i := range j.candidates {
		if r.try(j, i, true) {
			return
		}
	}
}

// try returns true when the job needs no further candidate: this one has it
// now, or it does not wait any more. With queue it also enters the line.
func (r *Rendezvous) try(j *job, i int, queue bool) bool {
	if !j.is(waiting) {
		return true
	}
	a := r.lockAgent(j.candidates[i], queue)
	if a == nil {
		return false
	}
	defer a.mu.Unlock()
	if s := a.slot; s != nil && s.free.Fits(j.need) {
		if as, _ := j.take(r, i); as != nil {
			a.slot = nil
			s.ch <- as
			return true
		}
	}
	if queue {
		a.enter(r, j, i)
	}
	return false
}

// position is the job's best place among the jobs that wait, from 1.
func (r *Rendezvous) position(j *job) int {
	best := 0
	for i, id := range j.candidates {
		a := r.lockAgent(id, false)
		if a == nil {
			continue
		}
		if own := j.places[i]; own != nil {
			n := a.line.position(own)
			if best == 0 || n < best {
				best = n
			}
		}
		a.mu.Unlock()
	}
	return max(best, 1)
}
