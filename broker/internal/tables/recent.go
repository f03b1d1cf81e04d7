// Package tables has the two maps that the broker's packages share.
//
// [Recent] has a bounded size: it keeps the newest entries and forgets the
// oldest, a whole generation at a time, so that no entry needs a timer or a
// place in a list.
//
//	Put ──▶ young ──(is full)──▶ old ──(young is full again)──▶ forgotten
//
// [Sharded] is a map that is locked in parts, for entries that many requests use
// concurrently. The caller holds the lock of one part while it looks up, adds or
// deletes an entry.
package tables

import "sync"

// Recent is a map of bounded size. It keeps at least the size newest entries
// and at most twice as many. It is safe for concurrent use.
type Recent[K comparable, V any] struct {
	mu         sync.Mutex
	size       int
	young, old map[K]V
}

// NewRecent returns an empty map that keeps at least the size newest entries.
func NewRecent[K comparable, V any](size int) *Recent[K, V] {
	return &Recent[K, V]{size: max(size, 1), young: map[K]V{}}
}

// Get returns the value of the key, and whether there is one.
func (r *Recent[K, V]) Get(key K) (V, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.get(key)
}

// Put sets the value of the key, which becomes the newest.
func (r *Recent[K, V]) Put(key K, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(key, v)
}

// Add sets the value of a key that has none. It reports whether it did.
func (r *Recent[K, V]) Add(key K, v V) bool {
	return r.Replace(key, v, func(V) bool { return false })
}

// Replace sets the value of a key that has none, or whose value may be replaced.
// It reports whether it did. The map is locked while may runs.
func (r *Recent[K, V]) Replace(key K, v V, may func(old V) bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.get(key); ok && !may(old) {
		return false
	}
	r.put(key, v)
	return true
}

// Use returns the value of the key and makes it the newest. A key without a
// value gets the one that fresh returns. The map is locked while fresh runs.
func (r *Recent[K, V]) Use(key K, fresh func() V) V {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.young[key]
	if ok {
		return v
	}
	if v, ok = r.old[key]; !ok {
		v = fresh()
	}
	r.put(key, v)
	return v
}

// Delete removes the key.
func (r *Recent[K, V]) Delete(key K) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.young, key)
	delete(r.old, key)
}

// Len returns the number of keys.
func (r *Recent[K, V]) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.young)
	for key := range r.old {
		if _, again := r.young[key]; !again {
			n++
		}
	}
	return n
}

func (r *Recent[K, V]) get(key K) (V, bool) {
	v, ok := r.young[key]
	if !ok {
		v, ok = r.old[key]
	}
	return v, ok
}

func (r *Recent[K, V]) put(key K, v V) {
	if _, ok := r.young[key]; !ok && len(r.young) >= r.size {
		r.old, r.young = r.young, make(map[K]V)
	}
	r.young[key] = v
}
