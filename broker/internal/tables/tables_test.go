package tables

import (
	"fmt"
	"sync"
	"testing"
)

func TestRecentKeepsTheNewest(t *testing.T) {
	r := NewRecent[int, int](10)
	for i := range 1000 {
		r.Put(i, -i)
		for k := max(0, i-9); k <= i; k++ {
			if v, ok := r.Get(k); !ok || v != -k {
				t.Fatalf("after %d entries, entry %d is %d, %v", i+1, k, v, ok)
			}
		}
		if n := r.Len(); n > 20 {
			t.Fatalf("after %d entries it has %d of at most 20", i+1, n)
		}
	}
	if _, ok := r.Get(979); ok {
		t.Error("it keeps more than twice its size")
	}
}

func TestRecentAddAndReplace(t *testing.T) {
	r := NewRecent[string, int](2)
	if !r.Add("a", 1) || r.Add("a", 2) {
		t.Error("Add does not add exactly once")
	}
	r.Put("b", 1)
	r.Put("c", 1) // a and b are the old generation now
	if r.Add("a", 3) {
		t.Error("Add does not see the old generation")
	}
	if r.Replace("a", 4, func(old int) bool { return old != 1 }) {
		t.Error("replaced a value that must stay")
	}
	if !r.Replace("a", 5, func(old int) bool { return old == 1 }) {
		t.Error("kept a value that may be replaced")
	}
	if v, ok := r.Get("a"); !ok || v != 5 {
		t.Errorf("a is %d, %v", v, ok)
	}
	if r.Delete("a"); !r.Add("a", 6) {
		t.Error("Delete left one of two generations")
	}
}

// TestRecentUseRenews: an entry that is in use outlives any number of others.
func TestRecentUseRenews(t *testing.T) {
	r := NewRecent[int, *int](4)
	own := r.Use(-1, func() *int { return new(int) })
	for i := range 100 {
		r.Put(i, nil)
		if r.Use(-1, func() *int { return new(int) }) != own {
			t.Fatalf("after %d others the entry in use is a new one", i+1)
		}
	}
}

func TestRecentOverwritingForgetsNothing(t *testing.T) {
	r := NewRecent[string, int](2)
	r.Put("a", 0)
	for i := range 100 {
		r.Put("b", i)
	}
	if _, ok := r.Get("a"); !ok {
		t.Error("setting one key again and again has pushed another one out")
	}
}

func TestShardedUnderConcurrentUse(t *testing.T) {
	s := NewSharded[int]()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				id := fmt.Sprint(i)
				p := s.Of(id)
				p.Lock()
				p.Entries[id]++
				p.Unlock()
				if _, ok := s.Get(id); !ok {
					t.Errorf("goroutine %d does not find entry %d, which it has made", g, i)
				}
			}
		})
	}
	wg.Wait()
	n, sum, used := 0, 0, 0
	for i := range Shards {
		p := s.Part(i)
		p.Lock()
		for id, v := range p.Entries {
			if s.Index(id) != i {
				t.Errorf("%s is in part %d, but belongs to %d", id, i, s.Index(id))
			}
			n, sum = n+1, sum+v
		}
		if len(p.Entries) > 0 {
			used++
		}
		p.Unlock()
	}
	if n != 1000 || sum != 8000 || used < Shards/2 {
		t.Errorf("%d entries with the sum %d in %d parts", n, sum, used)
	}
}
