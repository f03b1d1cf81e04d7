package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/signaling"
)

// BrokerError is the error for the user when a broker did not do what it was asked
// for: to introduce an agent, or something else. as names what it was told who
// asks; empty is nothing. ctx is that of the request.
func BrokerError(ctx context.Context, broker *signaling.Client, as string, err error) error {
	var p *api.Problem
	var u *signaling.Unreachable
	var known *cli.Error
	switch {
	case ctx.Err() != nil:
		return canceledError(ctx)
	case errors.As(err, &known):
		return known
	case errors.As(err, &p):
		return problemError(broker, as, p)
	case errors.As(err, &u):
		return unreachableError(u)
	default:
		return cli.Fail(cli.Usage, err)
	}
}

// problemError is for an error that the broker answered with.
func problemError(broker *signaling.Client, as string, p *api.Problem) error {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	exit := cli.Broker
	switch p.Code {
	case api.CodeNoAgent, api.CodeNoTarget, api.CodeNoToolchain, api.CodeNoRecipe, api.CodeNoTag, api.CodeNoCapacity, api.CodeNoAnswer:
		exit = cli.NoAgent
	default:
		text = fmt.Sprintf("the broker refuses: %s (%d %s)", text, p.Status, p.Code)
	}
	e := cli.Fail(exit, errors.New(text), p.Hints...).WithCode(string(p.Code))
	switch p.Status {
	case http.StatusUnauthorized:
		if as == "" {
			e.Hint("it was not told who asks; say so with --access-key-file, --user-key or --oidc", "the broker's operator gives access keys and lists SSH keys")
		} else {
			e.Hint("it was asked with " + as + "; has it expired, or been withdrawn? the broker's operator knows")
		}
	case http.StatusForbidden:
		if as != "" {
			e.Hint("it was asked with " + as + "; the broker's operator says what that allows")
		}
	case http.StatusTooManyRequests:
		if as == "" {
			e.Hint("it was not told who asks; brokers allow more to users that they know")
		} else {
			e.Hint("it was asked with " + as + ", to which its limits apply")
		}
	}
	if p.RetryAfter > 0 && (exit == cli.NoAgent || p.Status == http.StatusTooManyRequests) {
		e.Hint(fmt.Sprintf("the broker suggests another try in %v", time.Duration(p.RetryAfter)*time.Second))
	}
	if p.Status == http.StatusUnauthorized || p.Status == http.StatusGone {
		if skew := skewed(broker.Skew()); skew != nil {
			e.Hint(skew.Message)
		}
	}
	return e
}

// skewed tells of a clock that is so far off that lifetimes are misjudged; it is
// nil for one that is not. ahead is by how much the broker's clock is.
func skewed(ahead time.Duration) *channel.Problem {
	if ahead.Abs() <= signaling.MaxSkew {
		return nil
	}
	which := "behind"
	if ahead < 0 {
		which = "ahead of"
	}
	return &channel.Problem{
		Code:    NoticeClockSkew,
		Message: fmt.Sprintf("this machine's clock is %v %s the broker's; set it, or keys and tokens look expired that are not", ahead.Abs().Round(time.Second), which),
	}
}
