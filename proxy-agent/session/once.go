package session

import (
	"sync"
	"time"
)

// once remembers job ids for as long as a grant for them could still be valid.
// It forgets when the agent restarts; what a replayed grant is worth then is
// bounded by the certificate that it names, whose key only its client has.
type once struct {
	mu   sync.Mutex
	used map[string]time.Time // until when
}

// take reports whether id is new, and remembers it until the given time.
func (o *once) take(id string, now, until time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.used == nil {
		o.used = map[string]time.Time{}
	}
	for other, end := range o.used {
		if now.After(end) {
			delete(o.used, other)
		}
	}
	if _, ok := o.used[id]; ok {
		return false
	}
	o.used[id] = until
	return true
}
