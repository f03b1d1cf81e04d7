package signaling

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/farforge/farforge/common/api"
)

// Retryable reports whether the same request may succeed later: no broker
// answered for a reason that may pass, or the broker answered that it is too
// busy, shutting down or broken.
func Retryable(err error) bool {
	var u *Unreachable
	var p *api.Problem
	switch {
	case errors.As(err, &u):
		return !u.Permanent
	case errors.As(err, &p):
		return p.Status == http.StatusTooManyRequests || p.Code == api.CodeDraining || p.Status == http.StatusInternalServerError
	default:
		return false
	}
}

// Backoff spaces repeated tries: exponentially, with full jitter, so that many
// programs that lost the broker at once do not come back at once. The zero value
// is ready to use; it is not for concurrent use.
type Backoff struct {
	// Base is the bound of the first wait and Max that of the longest; zero is
	// 200 ms and 15 s.
	Base, Max time.Duration
	tries     int
}

// Next returns how long to wait before the next try. The broker's Retry-After has
// precedence, plus up to a tenth of it.
func (b *Backoff) Next(err error) time.Duration {
	base, most := b.Base, b.Max
	if base == 0 {
		base = 200 * time.Millisecond
	}
	if most == 0 {
		most = 15 * time.Second
	}
	bound := most
	if b.tries < 30 {
		bound = min(most, base<<b.tries)
	}
	b.tries++
	var p *api.Problem
	if errors.As(err, &p) && p.RetryAfter > 0 {
		asked := time.Duration(min(p.RetryAfter, int(maxRetryAfter/time.Second))) * time.Second
		return asked + rand.N(asked/10+1)
	}
	return rand.N(bound + 1)
}

// Reset starts again from Base, after a success.
func (b *Backoff) Reset() { b.tries = 0 }

// Sleep waits for d or until ctx ends, and returns the context's error then.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
