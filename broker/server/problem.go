package server

import (
	"errors"
	"net/http"
	"time"

	"github.com/farforge/farforge/broker/jobs"
	"github.com/farforge/farforge/common/api"
)

// problem returns a problem document. Its type is "about:blank", as RFC 9457
// defines it for problems that status and code describe completely.
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

func malformed(detail string) error {
	return problem(http.StatusBadRequest, api.CodeMalformed, detail)
}

// retryDraining is how long a new broker may take to follow this one.
const retryDraining = 2 * time.Second

func drainingProblem() *api.Problem {
	return after(problem(http.StatusServiceUnavailable, api.CodeDraining, "the broker is shutting down"), retryDraining)
}

// jobProblems are the problems of the errors of broker/jobs. The error's text is
// the detail.
var jobProblems = []struct {
	err    error
	status int
	code   api.Code
	retry  time.Duration
	hint   string
}{
	{jobs.ErrGrantExpired, http.StatusGone, api.CodeExpired, 0, "request a new grant"},
	{jobs.ErrForeignGrant, http.StatusUnauthorized, api.CodeBadToken, 0, "request a new grant"},
	{jobs.ErrOtherJob, http.StatusForbidden, api.CodeForbidden, 0, ""},
	{jobs.ErrUserRevoked, http.StatusForbidden, api.CodeForbidden, 0, ""},
	{jobs.ErrPlainOffer, http.StatusForbidden, api.CodeForbidden, 0, "seal it with age to the candidates' sealing keys, as farforge's own client does"},
	{jobs.ErrTooManyInOffer, http.StatusBadRequest, api.CodeMalformed, 0, "keep the best candidates, and leave the others out"},
	{jobs.ErrAlreadyOffered, http.StatusConflict, api.CodeAlreadyOffered, 0, "request a new grant"},
	{jobs.ErrReplaced, http.StatusConflict, api.CodeAlreadyOffered, 0, ""},
	{jobs.ErrCollected, http.StatusConflict, api.CodeAlreadyAnswered, 0, "request a new grant"},
	{jobs.ErrTaken, http.StatusConflict, api.CodeAlreadyAnswered, 0, ""},
	{jobs.ErrOtherAgent, http.StatusConflict, api.CodeAlreadyAnswered, 0, ""},
	{jobs.ErrExpired, http.StatusGone, api.CodeExpired, 0, ""},
	{jobs.ErrUnknownJob, http.StatusNotFound, api.CodeUnknownJob, 0, ""},
	{jobs.ErrUnclaimed, http.StatusNotFound, api.CodeUnknownJob, 0, ""},
	{jobs.ErrTooOld, http.StatusNotFound, api.CodeUnknownJob, 0, ""},
	{jobs.ErrNotAnswered, http.StatusNotFound, api.CodeUnknownJob, 0, ""},
	{jobs.ErrNotHolder, http.StatusForbidden, api.CodeForbidden, 0, ""},
	{jobs.ErrNotCandidate, http.StatusForbidden, api.CodeForbidden, 0, ""},
	{jobs.ErrConfirmedOtherwise, http.StatusConflict, api.CodeAlreadyConfirmed, 0, ""},
	{jobs.ErrNoAgent, http.StatusServiceUnavailable, api.CodeNoAgent, time.Second, "request a new grant"},
	{jobs.ErrNoAnswer, http.StatusGatewayTimeout, api.CodeNoAnswer, 0, "try again; other agents may be chosen"},
	{jobs.ErrFull, http.StatusTooManyRequests, api.CodeTooFast, 5 * time.Second, ""},
	{jobs.ErrTooManyCandidates, http.StatusTooManyRequests, api.CodeTooFast, api.JobMemory, ""},
	{jobs.ErrMailFull, http.StatusTooManyRequests, api.CodeTooFast, 5 * time.Second, ""},
	{jobs.ErrSuperseded, http.StatusTooManyRequests, api.CodeTooFast, 5 * time.Second, "check that no second agent runs with this key"},
}

// problemOf turns an error of broker/jobs into a problem, and counts refused
// users. Other errors, and nil, are returned as they are.
func (s *Server) problemOf(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, jobs.ErrDraining) {
		return drainingProblem()
	}
	for _, known := range jobProblems {
		if !errors.Is(err, known.err) {
			continue
		}
		if known.err == jobs.ErrUserRevoked {
			s.metrics.refused("not_allowed")
		}
		p := problem(known.status, known.code, known.err.Error())
		if known.hint != "" {
			p.Hints = []string{known.hint}
		}
		if known.retry > 0 {
			after(p, known.retry)
		}
		return p
	}
	switch e := err.(type) {
	case *jobs.TokenError:
		return problem(http.StatusUnauthorized, api.CodeBadToken, e.Error(), "request a new grant")
	case *jobs.LimitError:
		return problem(http.StatusForbidden, api.CodeForbidden, e.Error())
	case *jobs.UnmetError:
		return after(problem(http.StatusServiceUnavailable, e.Code, e.Detail, e.Hints...), e.RetryAfter)
	case *jobs.QuotaError:
		s.metrics.refused("user_" + e.Limit)
		code := api.CodeQuota
		if e.Limit == "grants" {
			code = api.CodeTooFast
		}
		return after(problem(http.StatusTooManyRequests, code, e.Detail, e.Hints...), e.RetryAfter)
	}
	return err
}
