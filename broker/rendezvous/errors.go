package rendezvous

import (
	"errors"
	"fmt"
)

// What Offer, Park and Answer fail with, besides the cause of a cancelled
// context.
var (
	// ErrAlreadyOffered: the job id is known with another offer or client.
	ErrAlreadyOffered = errors.New("the job was offered already, with another offer or by another client")
	// ErrCollected: the answer was fetched a while ago and is not kept.
	ErrCollected = errors.New("the answer to this job was collected already")
	// ErrReplaced: a newer call of Offer for the same job took over.
	ErrReplaced = errors.New("a newer request waits for this job")
	// ErrNoAnswer: every candidate claimed the job and let its time pass.
	ErrNoAnswer = errors.New("every agent that took the job failed to answer in time")
	// ErrFull: Config.MaxJobs are in memory.
	ErrFull = errors.New("too many jobs at once")
	// ErrDraining: the broker is shutting down.
	ErrDraining = errors.New("the broker is shutting down")
	// ErrSuperseded: newer polls of the same agent take over again and again.
	ErrSuperseded = errors.New("other polls of this agent take over again and again")
	// ErrGone: the agent may not serve any more.
	ErrGone = errors.New("the agent may not serve any more")
	// ErrUnknownJob: nothing is known of the job, or nothing any more.
	ErrUnknownJob = errors.New("the job is unknown")
	// ErrTaken: the agent does not hold the job; another has it, or the answer.
	ErrTaken = errors.New("the job is answered already, or another agent has it")
	// ErrExpired: the agent held the job and let its time pass.
	ErrExpired = errors.New("the time to answer is over")
)

// WaitingError ends a wait in which nobody answered. It is not a failure: the
// same offer can be made again and keeps its place.
type WaitingError struct {
	// Position is the job's place in the line, from 1.
	Position int
}

func (e *WaitingError) Error() string {
	return fmt.Sprintf("nobody has answered yet; place %d in the line", e.Position)
}
