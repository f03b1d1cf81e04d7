package worker

import (
	"context"
	"time"
)

// How often the NAT is probed: a machine seldom moves, and a probe that failed
// says nothing.
const (
	natLasts = 10 * time.Minute
	natRetry = time.Minute
)

// watchNAT keeps up with the NAT that the agent is behind, until ctx ends. What
// changes goes out with a poll at once.
func (w *Worker) watchNAT(ctx context.Context) {
	if w.ProbeNAT == nil {
		return
	}
	for {
		pause := natLasts
		kind, err := w.ProbeNAT(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			w.Logger.Debug("the NAT is not known", "error", err)
			pause = natRetry
		} else if before := w.nat.Swap(&kind); before == nil && kind != "" || before != nil && *before != kind {
			w.Logger.Info("probed the NAT", "nat", kind)
			w.reservations.notify()
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}
