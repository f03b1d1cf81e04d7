package remote

import (
	"context"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
)

// confirmTimeout bounds the confirmation of a job's end to the broker.
const confirmTimeout = 2 * time.Second

// confirmer confirms to the broker how a job ended on the agent that answered, so that the
// broker learns which agents are reliable.
type confirmer struct {
	job *Job
	// what is empty until an agent has answered with a valid signature.
	what struct{ jobID, grant, agent string }
	// answered is the time of the answer.
	answered time.Time
	// outcome is the job's outcome, if the error alone does not tell it.
	outcome api.Outcome
}

// agentAnswered notes the agent that has answered, and the grant.
func (w *confirmer) agentAnswered(agent Agent, granted *api.GrantResponse) {
	w.what.jobID, w.what.grant, w.what.agent = granted.JobID, granted.Grant, agent.Fingerprint
	w.answered = time.Now()
}

// agentEnded notes the outcome in the agent's result. An agent that reports a canceled
// or lost job although the client has not canceled it has failed.
func (w *confirmer) agentEnded(o api.Outcome) {
	if o == api.OutcomeCanceled || o == api.OutcomeLost {
		o = api.OutcomeAgentFailed
	}
	w.outcome = o
}

// confirm sends the confirmation, also for a canceled job. It tries once, and the user
// does not see an error, because the job has ended.
func (w *confirmer) confirm(ctx context.Context, err error) {
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
		w.job.Logger.Debug("the broker did not take the confirmation", "outcome", w.outcome, "error", err)
	}
}

// outcomeOf returns the outcome of a job that ended on this side.
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
	default: // the user, or an error on this machine
		return api.OutcomeCanceled
	}
}
