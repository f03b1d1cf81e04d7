package jobs

import (
	"sync/atomic"
	"time"

	"github.com/farforge/farforge/broker/internal/tables"
)

// records is the table of all jobs, locked in parts. Its methods may be called
// concurrently.
type records struct {
	most  int64
	count atomic.Int64
	table *tables.Sharded[*Job]
	// newest are the records that were made last, guarded by the lock of their
	// part of the table.
	newest [tables.Shards]ring
}

// find returns the record of a job that is known.
func (r *records) find(jobID string) (*Job, error) {
	if j, ok := r.table.Get(jobID); ok {
		return j, nil
	}
	return nil, ErrUnknownJob
}

// open returns the record of the grant's job. It makes the record of a job that
// was granted before a restart of the broker, or a while ago.
func (r *records) open(b *Board, t Ticket) (*Job, error) {
	p := r.table.Of(t.Grant.JobID)
	p.Lock()
	j := p.Entries[t.Grant.JobID]
	if j != nil {
		j.mu.Lock() // under the part's lock, so that it is not being swept
		defer j.mu.Unlock()
	}
	p.Unlock()
	if j != nil && j.ticket.Grant != nil {
		return j, nil
	}
	need, err := needOf(t.Grant)
	if err != nil {
		return nil, err
	}
	if j != nil {
		j.grant(t, need, j.from)
		return j, nil
	}
	j = newJob(b, t.Grant.JobID, b.now())
	j.grant(t, need, j.from)
	return r.add(j)
}

// add returns the record of the job's id, which is j if there was none.
func (r *records) add(j *Job) (*Job, error) {
	i := r.table.Index(j.id)
	p := r.table.Part(i)
	p.Lock()
	defer p.Unlock()
	if old := p.Entries[j.id]; old != nil {
		return old, nil
	}
	if r.count.Load() >= r.most {
		return nil, ErrFull
	}
	if old := r.newest[i].add(j); old != nil && retire(old) {
		delete(p.Entries, old.id)
		r.count.Add(-1)
	}
	r.count.Add(1)
	p.Entries[j.id] = j
	return j, nil
}

// ring has the newest records of one part, about 16 000 in all parts. A flood of
// requests for grants makes the broker forget older explanations and the oldest jobs
// that were not offered, which their signed grants bring back.
type ring struct {
	jobs [256]*Job
	n    int
}

// add returns the record that falls out.
func (r *ring) add(j *Job) (old *Job) {
	at := &r.jobs[r.n%len(r.jobs)]
	old, *at = *at, j
	r.n++
	return old
}

// retire drops the explanation, and reports whether the record was never offered
// and is forgotten.
func retire(j *Job) (gone bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.choice = nil
	if !j.is(granted) || j.watchers > 0 {
		return false
	}
	j.board.stats.mail.Add(-j.mail.clear())
	j.set(forgotten)
	return true
}

// each calls f for every job, with the lock of its part held.
func (r *records) each(f func(*Job)) {
	for i := range tables.Shards {
		p := r.table.Part(i)
		p.Lock()
		for _, j := range p.Entries {
			f(j)
		}
		p.Unlock()
	}
}

// sweep forgets the records that are out of use, and calls gone for each.
func (r *records) sweep(now time.Time, gone func(*Job, next)) {
	type end struct {
		j *Job
		n next
	}
	var ends []end
	for i := range tables.Shards {
		p := r.table.Part(i)
		p.Lock()
		crowded := r.count.Load() > r.most/2
		for id, j := range p.Entries {
			if n, gone := j.forget(now, crowded); gone {
				delete(p.Entries, id)
				r.count.Add(-1)
				ends = append(ends, end{j, n})
			}
		}
		p.Unlock()
		for _, e := range ends {
			gone(e.j, e.n)
		}
		ends = ends[:0]
	}
}
