package rendezvous

import (
	"hash/maphash"
	"sync"
)

// shardCount is a power of two, well above the number of cores that contend.
const shardCount = 64

// shards is a map from ids to V that is locked in parts.
type shards[V any] struct {
	seed  maphash.Seed
	parts [shardCount]shard[V]
}

type shard[V any] struct {
	mu sync.Mutex
	m  map[string]V
}

func (s *shards[V]) init() {
	s.seed = maphash.MakeSeed()
	for i := range s.parts {
		s.parts[i].m = make(map[string]V)
	}
}

func (s *shards[V]) of(id string) *shard[V] {
	return &s.parts[maphash.String(s.seed, id)%shardCount]
}

func (s *shards[V]) get(id string) (V, bool) {
	p := s.of(id)
	p.mu.Lock()
	v, ok := p.m[id]
	p.mu.Unlock()
	return v, ok
}
