package tables

import (
	"hash/maphash"
	"sync"
)

// Shards is the number of parts of a [Sharded] map: a power of two, well above
// the number of cores that contend for them.
const Shards = 64

// Sharded is a map from ids to V that is locked in parts. [NewSharded] makes it.
type Sharded[V any] struct {
	seed  maphash.Seed
	parts [Shards]Shard[V]
}

// Shard is one part. Its mutex guards Entries.
type Shard[V any] struct {
	sync.Mutex
	Entries map[string]V
}

// NewSharded returns an empty map.
func NewSharded[V any]() *Sharded[V] {
	s := &Sharded[V]{seed: maphash.MakeSeed()}
	for i := range s.parts {
		s.parts[i].Entries = make(map[string]V)
	}
	return s
}

// Of returns the part that the id belongs to, unlocked.
func (s *Sharded[V]) Of(id string) *Shard[V] { return &s.parts[s.Index(id)] }

// Index returns the number of the part that the id belongs to.
func (s *Sharded[V]) Index(id string) int {
	return int(maphash.String(s.seed, id) % Shards)
}

// Part returns part i, 0 ≤ i < [Shards], unlocked. A sweep locks one part after
// the other, so that it never holds up the others.
func (s *Sharded[V]) Part(i int) *Shard[V] { return &s.parts[i] }

// Get returns the entry of the id, and whether there is one.
func (s *Sharded[V]) Get(id string) (V, bool) {
	p := s.Of(id)
	p.Lock()
	v, ok := p.Entries[id]
	p.Unlock()
	return v, ok
}
