package jobs

import (
	"errors"
	"fmt"

	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
)

// The errors of the board's methods, besides the cause of a canceled context.
var (
	// ErrAlreadyOffered: the job was offered with another offer or by another
	// client.
	ErrAlreadyOffered = errors.New("the job was offered already, with another offer or by another client")
	// ErrCollected: the client had the answer a while ago, and it is not kept.
	ErrCollected = errors.New("the answer to this job was collected already")
	// ErrReplaced: a newer request of the same client waits for the job.
	ErrReplaced = errors.New("a newer request waits for this job")
	// ErrNoAnswer: no candidate has answered in time.
	ErrNoAnswer = errors.New("no agent answered the job in time")
	// ErrNoAgent: no candidate is online any more.
	ErrNoAgent = errors.New("the agents that were chosen for this job are not online any more")
	// ErrFull: as many jobs as the broker can keep are in memory.
	ErrFull = errors.New("too many jobs at once")
	// ErrDraining: the broker is shutting down.
	ErrDraining = errors.New("the broker is shutting down")
	// ErrSuperseded: newer polls of the same agent end this one again and again.
	ErrSuperseded = errors.New("newer polls of this agent end its older ones again and again")
	// ErrAgentDraining: the status of the agent says that it takes no more jobs.
	ErrAgentDraining = errors.New("the agent drains")
	// ErrUnlisted: the agent is not listed any more.
	ErrUnlisted = errors.New("the agent is not listed any more")
	// ErrUserRevoked: the user of the grant may not use this broker any more.
	ErrUserRevoked = errors.New("the user of this grant may not use this broker any more")
	// ErrPlainOffer: the broker could read the offer, and passes on only sealed
	// ones.
	ErrPlainOffer = errors.New("the offer is in plain text, and this broker passes on only sealed ones")
	// ErrTooManyInOffer: an offer or answer has more candidates than one end may
	// have.
	ErrTooManyInOffer = fmt.Errorf("the description has more than %d candidates", api.MaxTrickled)
	// ErrUnknownJob: the broker does not know the job, or not any more.
	ErrUnknownJob = errors.New("the broker does not know this job")
	// ErrUnclaimed: an agent acts on a job that no agent has claimed.
	ErrUnclaimed = errors.New("the broker does not know this job, or no agent has it yet")
	// ErrTaken: the agent does not hold the job; another does, or it is answered.
	ErrTaken = errors.New("the job is answered already, or another agent has it")
	// ErrExpired: the agent held the job and did not answer in time.
	ErrExpired = errors.New("the time to answer this job is over")
	// ErrOtherAgent: another agent holds the job.
	ErrOtherAgent = errors.New("another agent has the job")
	// ErrNotHolder: a report of a job that another agent holds.
	ErrNotHolder = errors.New("the job is not this agent's")
	// ErrTooManyCandidates: one end has posted as many as it may.
	ErrTooManyCandidates = errors.New("this end of the job has sent as many candidates as it may")
	// ErrMailFull: the broker has as many candidates as it can keep.
	ErrMailFull = errors.New("the broker has as many candidates as it can keep")
	// ErrTooOld: the reported job is older than any job can be, or from the
	// future.
	ErrTooOld = errors.New("the job is too old, or from the future")
	// ErrNotCandidate: a confirmation about an agent that the grant is not for.
	ErrNotCandidate = errors.New("the agent is not among those that the grant is for")
	// ErrNotAnswered: a confirmation of a job of which the agent's answer has not
	// reached the client.
	ErrNotAnswered = errors.New("the broker does not know that this agent has answered this job, or not any more")
	// ErrConfirmedOtherwise: the client has confirmed another outcome before.
	ErrConfirmedOtherwise = errors.New("an earlier confirmation says that this job has ended otherwise")

	// ErrGrantExpired: the grant can no longer be redeemed.
	ErrGrantExpired = errors.New("the grant has expired")
	// ErrForeignGrant: another broker has issued the grant.
	ErrForeignGrant = errors.New("the grant is for another broker")
	// ErrOtherJob: the grant is for another job than the request.
	ErrOtherJob = errors.New("the grant is for another job")

	// errForgotten: the record was forgotten since it was looked up.
	errForgotten = errors.New("the record of the job was forgotten")
)

// WaitingError ends a request that waited without an answer. It is not a failure:
// the client makes the same offer again, and the job keeps its place.
type WaitingError struct {
	// Position is the job's place in the line, from 1; 0 is unknown.
	Position int
}

func (e *WaitingError) Error() string {
	return fmt.Sprintf("no agent has answered yet; place %d in the line", e.Position)
}

// QuotaError refuses a user whose limit is reached.
type QuotaError struct{ *quota.Refusal }

func (e *QuotaError) Error() string { return e.Detail }

// UnmetError reports a need that no agent meets.
type UnmetError struct{ *scheduler.Unmet }

func (e *UnmetError) Error() string { return e.Detail }

// LimitError refuses a request for more than the operator grants.
type LimitError struct {
	Field  string
	Wanted any
	Limit  int
	Unit   string
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s: %v requested, this broker grants at most %d%s", e.Field, e.Wanted, e.Limit, e.Unit)
}

// TokenError reports a token that is not a grant of this broker.
type TokenError struct{ Err error }

func (e *TokenError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *TokenError) Unwrap() error { return e.Err }

func tokenError(err error) error {
	if errors.Is(err, grant.ErrExpired) {
		return ErrGrantExpired
	}
	return &TokenError{err}
}
