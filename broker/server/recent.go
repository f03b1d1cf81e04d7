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
	return r.renew(key, v, func(V) bool { return false })
}

// renew remembers key with v, unless there is something with it already that is
// not over. It tells whether it did.
func (r *recent[V]) renew(key string, v V, over func(old V) bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.get(key); ok && !over(old) {
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
