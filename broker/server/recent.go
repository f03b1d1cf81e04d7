package server

import "sync"

// recent remembers the last things it has seen, between size and twice size of
// them: it fills one set and then starts the next, keeping the one before.
type recent struct {
	mu       sync.Mutex
	size     int
	now, old map[string]struct{}
}

func newRecent(size int) *recent {
	return &recent{size: size, now: map[string]struct{}{}}
}

// first tells whether key is seen for the first time, and remembers it.
func (r *recent) first(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.now[key]; ok {
		return false
	}
	if _, ok := r.old[key]; ok {
		return false
	}
	if len(r.now) >= r.size {
		r.old, r.now = r.now, map[string]struct{}{}
	}
	r.now[key] = struct{}{}
	return true
}
