package worker

import (
	"context"
	"time"
)

// How often the agent looks at the disk and probes its NAT. A machine seldom
// moves; a failed probe is repeated soon.
const (
	diskLook = time.Second
	natLasts = 10 * time.Minute
	natRetry = time.Minute
)

// watchDisk reports no room while the disk is low, until ctx ends. A change goes
// out with a poll at once.
func (w *Worker) watchDisk(ctx context.Context) {
	if w.DiskLow == nil {
		return
	}
	ticker := time.NewTicker(diskLook)
	defer ticker.Stop()
	for {
		low := w.DiskLow()
		switch changed := w.reservations.setLow(low); {
		case changed && low != nil:
			w.Logger.Error("the disk is low: no new jobs until there is room", "reason", low)
		case changed:
			w.Logger.Info("the disk has room again")
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// watchNAT keeps track of the NAT that the agent is behind, until ctx ends. A
// change goes out with a poll at once.
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
