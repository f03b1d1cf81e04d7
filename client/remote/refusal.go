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

// BrokerError returns the user's error for a request that failed at the broker. as names
// the identity shown to the broker; empty: none was shown. ctx is that of the request.
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

// problemError returns the error for a problem in the broker's response.
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
			e.Hint("show the broker who you are with --access-key-file, --user-key or --oidc", "ask the broker's operator for an access key, or to list your SSH key")
		} else {
			e.Hint("the request carried " + as + "; ask the broker's operator whether it has expired or was revoked")
		}
	case http.StatusForbidden:
		if as != "" {
			e.Hint("the request carried " + as + "; ask the broker's operator what that allows")
		}
	case http.StatusTooManyRequests:
		if as == "" {
			e.Hint("show the broker who you are with --access-key-file, --user-key or --oidc; known users have higher limits")
		} else {
			e.Hint("the request carried " + as + ", whose limits apply")
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

// skewed returns a problem if this machine's clock is so wrong that valid keys and
// tokens look expired, or nil. ahead is the time by which the broker's clock is ahead.
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
		Message: fmt.Sprintf("this machine's clock is %v %s the broker's; set it, because valid keys and tokens look expired", ahead.Abs().Round(time.Second), which),
	}
}
