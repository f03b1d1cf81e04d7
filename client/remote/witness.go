package remote

import (
	"context"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
)

// confirmTimeout bounds how long a job's end waits for the broker to hear of it.
const confirmTimeout = 2 * time.Second

// witness tells the broker how a job ended once an agent has answered, so that
// it learns which agents do as they say. Until then there is nothing to tell.
type witness struct {
	job *Job
	// what is empty while no agent has proved to be the one that answered.
	what struct{ jobID, grant, agent string }
	// answered is when it did.
	answered time.Time
	// outcome is how the job ended, where that is not clear from the error.
	outcome api.Outcome
}

// met notes which agent has answered, and under which grant.
func (w *witness) met(agent Agent, granted *api.GrantResponse) {
	w.what.jobID, w.what.grant, w.what.agent = granted.JobID, granted.Grant, agent.Fingerprint
	w.answered = time.Now()
}

// told notes the agent's own result, which ends the job. An agent that says that
// it was canceled or lost, and that nobody has canceled and everybody hears, has
// given up.
func (w *witness) told(o api.Outcome) {
	if o == api.OutcomeCanceled || o == api.OutcomeLost {
		o = api.OutcomeAgentFailed
	}
	w.outcome = o
}

// confirm tells the broker. It is tried once and changes nothing for the job: a
// broker that does not listen is not worth a word to the user. It goes out also
// for a job that was canceled.
func (w *witness) confirm(ctx context.Context, err error) {
	if w.what.agent == "" {
		return
	}
	if w.outcome == "" {
		w.outcome = outcomeOf(err)
	}
	word := &api.Confirmation{Agent: w.what.agent, Outcome: w.outcome, DurationMS: time.Since(w.answered).Milliseconds()}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), confirmTimeout)
	defer cancel()
	if err := w.job.Broker.Confirm(ctx, w.what.jobID, w.what.grant, word); err != nil {
		w.job.Logger.Debug("the broker was not told how the job ended", "outcome", w.outcome, "error", err)
	}
}

// outcomeOf is how a job ended on this side.
func outcomeOf(err error) api.Outcome {
	switch cli.Code(err) {
	case cli.Done:
		return api.OutcomeSucceeded
	case cli.LostAgent:
		return api.OutcomeLost
	case cli.Verification:
		return api.OutcomeAgentFailed
	case cli.NoAgent:
		return api.OutcomeRefused
	default: // the user, or something here
		return api.OutcomeCanceled
	}
}
