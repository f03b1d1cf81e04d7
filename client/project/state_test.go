package project

import (
	"os"
	"runtime"
	"testing"
)

// TestCacheKeys: a cache key stays the same from build to build, and differs for each
// agent and each copy of the project. It also differs from the name that brokers see.
func TestCacheKeys(t *testing.T) {
	folder := func() *os.Root {
		root, err := os.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { root.Close() })
		return root
	}
	ours, copied := folder(), folder()
	seen := map[string]string{}
	for range 2 {
		for _, of := range []struct {
			name  string
			state *os.Root
		}{{"ours", ours}, {"a copy", copied}} {
			keys, err := CacheKeys(of.state)
			if err != nil {
				t.Fatal(err)
			}
			name, err := Key(of.state)
			if err != nil {
				t.Fatal(err)
			}
			for what, key := range map[string]string{"the broker": name, "agent a": keys("SHA256:a"), "agent b": keys("SHA256:b")} {
				what = of.name + " for " + what
				if of := seen[key]; of != "" && of != what || len(key) < 26 {
					t.Errorf("%s: %q, which is that of %s too", what, key, of)
				}
				seen[key] = what
			}
		}
	}
	if len(seen) != 6 {
		t.Errorf("six keys became %d: %v", len(seen), seen)
	}
	for _, name := range []string{keyName, cacheKeyName} {
		if info, err := ours.Stat(name); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}
