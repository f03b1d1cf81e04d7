package server

import "sync"

// recent remembers the last things it has seen, between size and twice size of
// them: it fills one map and then starts the next, keeping the one before.
type recent[V any] struct {
	mu       sync.Mutex
	size     int
	now, old map[string]V
}

func newRecent[V any](size int) *recent[V] {
	return &recent[V]{size: size, now: map[string]V{}}
}

// first tells whether key is seen for the first time, and remembers it with v.
func (r *recent[V]) first(key string, v V) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.get(key); ok {
		return false
	}
	if len(r.now) >= r.size {
		r.old, r.now = r.now, map[string]V{}
	}
	r.now[key] = v
	return true
}

// of returns what is remembered with key.
func (r *recent[V]) of(key string) (V, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.get(key)
}

func (r *recent[V]) get(key string) (V, bool) {
	v, ok := r.now[key]
	if !ok {
		v, ok = r.old[key]
	}
	return v, ok
}
