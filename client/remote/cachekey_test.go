package remote

import (
	"context"
	"testing"

	"github.com/farforge/farforge/client/internal/fakefarm"
)

// TestAgentsGetTheirOwnCacheKey: the agent of the job gets its own key, or none.
func TestAgentsGetTheirOwnCacheKey(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	b := fakefarm.New(t, func(ctx context.Context, s *fakefarm.Session) error {
		seen <- s.Build.Cache
		return fakefarm.Succeeds(fakefarm.Made())(ctx, s)
	})
	for _, c := range []struct {
		keys func(string) string
		want string
	}{{nil, ""}, {func(agent string) string { return "for " + agent }, "for " + b.Key.Fingerprint()}} {
		x := newTry(t, b)
		x.job.CacheKey = c.keys
		if _, err := Run(t.Context(), x.job); err != nil {
			t.Fatal(err)
		}
		if got := <-seen; got != c.want {
			t.Errorf("the agent was shown %q, want %q", got, c.want)
		}
	}
}
