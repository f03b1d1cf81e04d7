package signaling

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/farforge/farforge/common/amp"
	"github.com/farforge/farforge/common/api"
)

// Retryable tells whether the same request may succeed later: nobody answered
// (unless it is too long for the only way that there is), or the broker said that
// it is too busy, shutting down or broken.
func Retryable(err error) bool {
	var u *Unreachable
	var p *api.Problem
	switch {
	case errors.As(err, &u):
		_, never := u.Err.(*amp.TooLong)
		return !never
	case errors.As(err, &p):
		return p.Status == http.StatusTooManyRequests || p.Code == api.CodeDraining || p.Status == http.StatusInternalServerError
	default:
		return false
	}
}

// Backoff spaces repeated tries: exponentially, with full jitter, so that many
// who lost the broker at once do not come back at once. The zero value is ready
// to use; it is not for concurrent use.
type Backoff struct {
	// Base is the bound of the first wait and Max that of the longest; zero is
	// 200 ms and 15 s.
	Base, Max time.Duration
	tries     int
}

// Next returns how long to wait before the next try. What the broker asked for
// with Retry-After comes first, plus up to a tenth of it.
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
		asked := time.Duration(p.RetryAfter) * time.Second
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
