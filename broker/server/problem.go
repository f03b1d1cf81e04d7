package server

import (
	"errors"
	"net/http"
	"time"

	"github.com/farforge/farforge/broker/rendezvous"
	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/common/api"
)

// problem makes a problem document. Its type is "about:blank" as RFC 9457 has
// it for problems that the status and our code tell all about.
func problem(status int, code api.Code, detail string, hints ...string) *api.Problem {
	return &api.Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Code: code, Detail: detail, Hints: hints,
	}
}

func after(p *api.Problem, d time.Duration) *api.Problem {
	p.RetryAfter = seconds(d)
	return p
}

// retryDraining is how long a new broker may take to follow this one.
const retryDraining = 2 * time.Second

func drainingProblem() *api.Problem {
	return after(problem(http.StatusServiceUnavailable, api.CodeDraining, "the broker is shutting down"), retryDraining)
}

func unmetProblem(u *scheduler.Unmet) *api.Problem {
	return after(problem(http.StatusServiceUnavailable, u.Code, u.Detail, u.Hints...), u.RetryAfter)
}

// meetProblem turns the meeting point's errors into problems. Other errors are
// returned as they are.
func meetProblem(err error) error {
	switch {
	case errors.Is(err, rendezvous.ErrAlreadyOffered):
		return problem(http.StatusConflict, api.CodeAlreadyOffered, "this job was offered already, with another offer or by another client", "request a new grant")
	case errors.Is(err, rendezvous.ErrReplaced):
		return problem(http.StatusConflict, api.CodeAlreadyOffered, "a newer request waits for this job")
	case errors.Is(err, rendezvous.ErrCollected):
		return problem(http.StatusConflict, api.CodeAlreadyAnswered, "the answer to this job was collected already", "request a new grant")
	case errors.Is(err, rendezvous.ErrTaken):
		return problem(http.StatusConflict, api.CodeAlreadyAnswered, "the job is answered already, or another agent has it")
	case errors.Is(err, rendezvous.ErrExpired):
		return problem(http.StatusGone, api.CodeExpired, "the time to answer this job is over")
	case errors.Is(err, rendezvous.ErrUnknownJob):
		return problem(http.StatusNotFound, api.CodeUnknownJob, "the broker does not know this job")
	case errors.Is(err, rendezvous.ErrNoAnswer):
		return problem(http.StatusGatewayTimeout, api.CodeNoAnswer, "every agent that took the job failed to answer in time", "try again; other agents may be chosen")
	case errors.Is(err, rendezvous.ErrFull):
		return after(problem(http.StatusTooManyRequests, api.CodeTooFast, "the broker has as many jobs as it can keep"), 5*time.Second)
	case errors.Is(err, rendezvous.ErrSuperseded):
		return after(problem(http.StatusTooManyRequests, api.CodeTooFast, "other polls with the same key take over again and again",
			"does a second agent run with this key?"), 5*time.Second)
	case errors.Is(err, rendezvous.ErrDraining):
		return drainingProblem()
	default:
		return err
	}
}
