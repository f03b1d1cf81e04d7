package worker

import (
	"fmt"
	"slices"
	"sync"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/grant"
)

// reservations record what jobs have taken of the capacity. They are safe for
// concurrent use.
type reservations struct {
	total   capacity.Capacity
	slots   int           // jobs at a time
	changed chan struct{} // holds a token after a change

	mu   sync.Mutex
	jobs map[string]capacity.Capacity
	// ended are the last jobs that were served, newest last.
	ended []string
	low   error // why no job fits, however much is free; nil if jobs fit
}

func newReservations(total capacity.Capacity, slots int) *reservations {
	return &reservations{total: total, slots: slots, changed: make(chan struct{}, 1), jobs: map[string]capacity.Capacity{}}
}

// setLow notes whether the disk is low, and reports whether that is new.
func (l *reservations) setLow(low error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := (low == nil) != (l.low == nil)
	l.low = low
	if changed {
		l.notify()
	}
	return changed
}

// reserve takes what the grant allows, or returns what is missing.
func (l *reservations) reserve(g *grant.Grant) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	free := l.free()
	_, running := l.jobs[g.JobID]
	switch {
	case running:
		return fmt.Errorf("job %s is running already", g.JobID)
	case l.low != nil:
		return l.low
	case len(l.jobs) >= l.slots:
		return fmt.Errorf("all %d slots are taken", l.slots)
	case g.CPUCores.Whole() > free.Cores:
		return fmt.Errorf("the job needs %v cores and %d of %d are free", g.CPUCores, free.Cores, l.total.Cores)
	case g.MemoryMB > free.MemoryMB:
		return fmt.Errorf("the job needs %d MiB of memory and %d of %d are free", g.MemoryMB, free.MemoryMB, l.total.MemoryMB)
	}
	l.jobs[g.JobID] = capacity.Capacity{Cores: g.CPUCores.Whole(), MemoryMB: g.MemoryMB}
	l.notify()
	return nil
}

// served notes that a job was answered and has ended. Such a job does not come
// back, because its grant is used up. One that was not answered may.
func (l *reservations) served(jobID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = append(l.ended, jobID)
	l.ended = l.ended[max(len(l.ended)-api.MaxEnded, 0):]
}

// release gives back a job's reservation.
func (l *reservations) release(jobID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.jobs, jobID)
	l.notify()
}

// fill writes the present state into a status. Without a free slot, or with a
// disk that is low, no core is free.
func (l *reservations) fill(s *api.Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	free := l.free()
	s.TotalCores, s.FreeCores = l.total.Cores, free.Cores
	s.TotalMemMB, s.FreeMemMB = l.total.MemoryMB, free.MemoryMB
	if len(l.jobs) >= l.slots || l.low != nil {
		s.FreeCores = 0
	}
	for id := range l.jobs {
		s.RunningJobs = append(s.RunningJobs, id)
	}
	slices.Sort(s.RunningJobs)
	s.EndedJobs = slices.Clone(l.ended)
}

// free must be called with the lock held.
func (l *reservations) free() capacity.Capacity {
	free := l.total
	for _, used := range l.jobs {
		free = free.Minus(used)
	}
	return free
}

func (l *reservations) notify() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}
