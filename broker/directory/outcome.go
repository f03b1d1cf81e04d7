package directory

import (
	"slices"

	"github.com/farforge/farforge/common/api"
)

// outcomes are the indices of the counters.
var outcomes = [...]api.Outcome{
	api.OutcomeSucceeded, api.OutcomeBuildFailed, api.OutcomeCanceled, api.OutcomeTimedOut,
	api.OutcomeRefused, api.OutcomeLost, api.OutcomeAgentFailed,
}

// Report counts an outcome of a job on the agent.
func (d *Directory) Report(fingerprint string, outcome api.Outcome) {
	e, ok := d.table.Load().byFingerprint[fingerprint]
	if i := slices.Index(outcomes[:], outcome); ok && i >= 0 {
		e.outcomes[i].Add(1)
	}
}

// Outcomes returns the agent's counts since the broker's start, without zeros.
func (d *Directory) Outcomes(fingerprint string) map[api.Outcome]int64 {
	counts := map[api.Outcome]int64{}
	if e, ok := d.table.Load().byFingerprint[fingerprint]; ok {
		for i, o := range outcomes {
			if n := e.outcomes[i].Load(); n > 0 {
				counts[o] = n
			}
		}
	}
	return counts
}
