package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/peer"
)

// Ending is how a session ended.
type Ending struct {
	Outcome   api.Outcome
	Duration  time.Duration // from the answer to the end
	Artifacts []api.Artifact
	// Problem is nil if the job succeeded.
	Problem *channel.Problem

	exitCode     int
	setup, build time.Duration
	flashMap     string
}

// errCanceled ends a job that its client has canceled.
var errCanceled = &channel.Problem{Code: channel.ProblemCanceled, Message: "the build was canceled"}

func timeLimit(limit time.Duration) error {
	return &channel.Problem{
		Code:    channel.ProblemTimeLimit,
		Message: fmt.Sprintf("the job reached the %v that its grant allows", limit),
		Hints:   []string{"use a longer --timeout"},
	}
}

// outcomes maps each problem to the outcome of its job.
var outcomes = map[channel.ProblemCode]api.Outcome{
	channel.ProblemUngranted:    api.OutcomeRefused,
	channel.ProblemMalformed:    api.OutcomeRefused,
	channel.ProblemManifest:     api.OutcomeRefused,
	channel.ProblemContent:      api.OutcomeRefused,
	channel.ProblemSource:       api.OutcomeRefused,
	channel.ProblemNoRecipe:     api.OutcomeRefused,
	channel.ProblemSizeLimit:    api.OutcomeRefused,
	channel.ProblemBuildFailed:  api.OutcomeBuildFailed,
	channel.ProblemNoArtifacts:  api.OutcomeBuildFailed,
	channel.ProblemTimeLimit:    api.OutcomeTimedOut,
	channel.ProblemCanceled:     api.OutcomeCanceled,
	channel.ProblemAgentFailure: api.OutcomeAgentFailed,
}

// ended turns the error that stopped a job into its ending. Where the job's
// context has ended, its cause says more than the error.
func ended(ctx context.Context, err error) Ending {
	err = because(ctx, err)
	var p *channel.Problem
	switch {
	case errors.As(err, &p):
		if outcome, ok := outcomes[p.Code]; ok {
			return Ending{Outcome: outcome, Problem: p}
		}
	case errors.Is(err, peer.ErrLost):
		return Ending{Outcome: api.OutcomeLost, Problem: &channel.Problem{Code: channel.ProblemCanceled, Message: err.Error()}}
	case errors.Is(err, context.Canceled):
		err = errors.New("the agent is shutting down")
	}
	return Ending{Outcome: api.OutcomeAgentFailed, Problem: &channel.Problem{Code: channel.ProblemAgentFailure, Message: err.Error()}}
}

// afterBuild changes the outcome of a job whose build command has started. Such
// a job was served: what its client does wrong after that cancels it, and output
// that is too large fails it. Only a job that was not served is refused.
func (e *Ending) afterBuild() {
	switch {
	case e.Outcome != api.OutcomeRefused:
	case e.Problem != nil && e.Problem.Code == channel.ProblemSizeLimit:
		e.Outcome = api.OutcomeBuildFailed
	default:
		e.Outcome = api.OutcomeCanceled
	}
}

func (e *Ending) result() *channel.Result {
	return &channel.Result{
		Outcome: e.Outcome, ExitCode: e.exitCode,
		BuildMS: e.build.Milliseconds(), SetupMS: e.setup.Milliseconds(),
		Artifacts: e.Artifacts, FlashMap: e.flashMap, Problem: e.Problem,
	}
}
