//go:build !unix

package sandbox

import (
	"context"
	"runtime"
)

// None needs a Unix system; here Check says so.
type None struct{}

// Name returns "none".
func (None) Name() string { return "none" }

// CachePath implements Sandbox.
func (None) CachePath(dir string) string { return dir }

// Soft implements Sandbox.
func (n None) Soft() error { return n.Check(context.Background()) }

// Check implements Sandbox.
func (None) Check(context.Context) error {
	return &Unusable{
		Reason: "the agent cannot run builds on " + runtime.GOOS,
		Advice: "run the agent on Linux",
	}
}

// Run implements Sandbox.
func (n None) Run(ctx context.Context, _ Spec) (Result, error) { return Result{}, n.Check(ctx) }
