package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// SignalGap is the time within which two signals count as one. Some senders, such
// as timeout(1), send one signal to the process and one to its group.
const SignalGap = 250 * time.Millisecond

// Signals turns SIGINT and SIGTERM into the three steps of ending a command.
//
// The first signal closes the returned drain channel: take nothing new, finish
// what runs. The second cancels the returned context: stop what runs and clean
// up. The third exits at once with [Interrupted]. For a command that has
// nothing to drain, drains is false: the first signal cancels its context. Signals
// within [SignalGap] of each other count as one.
//
// The caller must call stop, which stops watching for signals.
func Signals(parent context.Context, drains bool) (ctx context.Context, drain <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	draining, ended, stopped := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		steps := []func(){func() { close(draining) }, cancel, func() { os.Exit(int(Interrupted)) }}
		if !drains {
			steps = []func(){func() { close(draining); cancel() }, steps[2]}
		}
		var last time.Time
		for len(steps) > 0 {
			select {
			case <-signals:
			case <-ended:
				return
			}
			if now := time.Now(); now.Sub(last) >= SignalGap {
				last = now
				steps[0]()
				steps = steps[1:]
			}
		}
	}()
	return ctx, draining, func() {
		signal.Stop(signals)
		close(ended)
		<-stopped
		cancel()
	}
}
