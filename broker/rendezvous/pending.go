package rendezvous

// Pending tells whether the job is known and may still get an answer.
func (r *Rendezvous) Pending(jobID string) bool {
	j, ok := r.jobs.Get(jobID)
	return ok && !j.over()
}
