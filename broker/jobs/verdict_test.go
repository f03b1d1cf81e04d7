package jobs

import (
	"testing"

	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/common/api"
)

// TestVerdict tests every pair of outcomes.
func TestVerdict(t *testing.T) {
	const (
		none    = api.Outcome("")
		nothing = scheduler.Verdict(0)
		built   = scheduler.Built
		failed  = scheduler.Failed
	)
	reports := []api.Outcome{
		none, api.OutcomeSucceeded, api.OutcomeBuildFailed, api.OutcomeCanceled, api.OutcomeTimedOut, api.OutcomeRefused, api.OutcomeLost,
		api.OutcomeAgentFailed,
	}
	for _, tt := range []struct {
		confirmed api.Outcome
		// usual is the verdict whatever the agent reports but agent_fail, and
		// admitted with that.
		usual, admitted scheduler.Verdict
		accused         bool
	}{
		{none, nothing, failed, false},
		{api.OutcomeSucceeded, built, built, false},
		{api.OutcomeBuildFailed, nothing, failed, false},
		{api.OutcomeTimedOut, nothing, failed, false},
		{api.OutcomeCanceled, nothing, failed, false},
		{api.OutcomeRefused, nothing, failed, false},
		{api.OutcomeLost, failed, failed, true},
		{api.OutcomeAgentFailed, failed, failed, true},
	} {
		for _, reported := range reports {
			want, accused := tt.usual, tt.accused
			if reported == api.OutcomeAgentFailed {
				want, accused = tt.admitted, false
			}
			if got, by := verdict(reported, tt.confirmed); got != want || by != accused {
				t.Errorf("reported %q, confirmed %q: %v, accused %v; want %v, %v", reported, tt.confirmed, got, by, want, accused)
			}
		}
	}
}
