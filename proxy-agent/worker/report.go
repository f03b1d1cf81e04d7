package worker

import (
	"context"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/proxy-agent/session"
)

// How long a report is retried. The broker forgets the job after a while, and an
// agent that stops does not wait for a broker that is unreachable.
const (
	reportTime        = api.JobMemory / 2
	reportTimeStopped = 3 * time.Second
)

// report sends the broker a signed report of how the job of this claim ended.
func (w *Worker) report(ctx context.Context, jobID string, claim int, ending session.Ending) {
	r := &api.Report{
		JobID: jobID, Claim: claim, Outcome: ending.Outcome,
		DurationMS: ending.Duration.Milliseconds(), Artifacts: ending.Artifacts,
	}
	var err error
	if r.Signature, err = w.Key.Sign(identity.NamespaceReport, r.SignedBytes()); err != nil {
		w.Logger.Error("could not sign a report", "job", jobID, "error", err)
		return
	}
	ctx, cancel := session.Patience(ctx, reportTime, reportTimeStopped)
	defer cancel()
	err = insist(ctx, w.Logger, "report", func() error {
		return w.auth.with(ctx, func(token string) error { return w.Broker.Report(ctx, token, r) })
	})
	if err != nil {
		w.Logger.Warn("a report did not arrive", "job", jobID, "outcome", r.Outcome, "error", err)
	}
}
