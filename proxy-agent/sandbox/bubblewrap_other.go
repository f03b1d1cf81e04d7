//go:build !linux

package sandbox

import (
	"context"
	"runtime"
)

// Bubblewrap needs Linux; here Check says so.
type Bubblewrap struct{}

// NewBubblewrap returns a sandbox that cannot be used.
func NewBubblewrap(context.Context) *Bubblewrap { return &Bubblewrap{} }

// Name returns "bubblewrap".
func (*Bubblewrap) Name() string { return "bubblewrap" }

// CachePath implements Sandbox.
func (*Bubblewrap) CachePath(string) string { return Cache }

// Soft implements Sandbox.
func (b *Bubblewrap) Soft() error { return b.Check(context.Background()) }

// Check implements Sandbox.
func (*Bubblewrap) Check(context.Context) error {
	return &Unusable{
		Reason: "bubblewrap needs Linux and this is " + runtime.GOOS,
		Advice: "run the agent on Linux",
	}
}

// Run implements Sandbox.
func (b *Bubblewrap) Run(ctx context.Context, _ Spec) (Result, error) {
	return Result{}, b.Check(ctx)
}
