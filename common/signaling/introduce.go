package signaling

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/farforge/farforge/common/api"
)

// Patience is how long a broker may fail until the client gives up: long enough
// for a restart if it has answered before, and short if it never has, because the
// URL is likely wrong then.
const (
	patienceKnown   = 30 * time.Second
	patienceUnknown = 2 * time.Second
	// A broker that was just started does not know its agents yet.
	patienceAgents = 10 * time.Second
)

// firstWait is how long the broker holds an offer at first: just long enough that
// a silent agent loses the job to the next one meanwhile, and short enough that a
// client learns its place in line soon.
const firstWait = api.AnswerTimeout + time.Second

// Introduction is an agent's answer and the last grant of the job.
type Introduction struct {
	Grant  *api.GrantResponse
	Answer []byte
}

// Introduce gets a grant, calls makeOffer for the offer, and repeats the offer until
// an agent has answered. It continues after waits that end without an answer (it
// calls waiting for each), after broken connections and after a restart of the
// broker, until ctx ends or the broker refuses.
//
// It calls makeOffer again for each new grant. A new grant is needed when one
// expires while the broker is away, and when the candidates of a waiting job have
// gone offline: it is for a new job with other candidates, to which the offer has
// to be sealed.
func (c *Client) Introduce(ctx context.Context, need *api.GrantRequest, makeOffer func(context.Context, *api.GrantResponse) ([]byte, error), waiting func(api.Waiting)) (*Introduction, error) {
	var backoff Backoff
	for {
		granted, err := c.RequestGrant(ctx, need)
		if err != nil {
			return nil, err
		}
		offer, err := makeOffer(ctx, granted)
		if err != nil {
			return nil, err
		}
		last := *granted
		answer, err := c.Offer(ctx, granted, offer, func(w api.Waiting) {
			last.Grant, last.ExpiresAt = w.Grant, w.ExpiresAt
			if waiting != nil {
				waiting(w)
			}
		})
		var p *api.Problem
		if errors.As(err, &p) && (p.Code == api.CodeExpired || p.Code == api.CodeNoAgent) {
			c.log.Info("the job needs another grant", "job", granted.JobID, "reason", p.Code)
			if Sleep(ctx, backoff.Next(nil)) != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		return &Introduction{Grant: &last, Answer: answer}, nil
	}
}

// RequestGrant requests a grant, again and again while the broker is unreachable,
// too busy or without any agent and patience lasts.
func (c *Client) RequestGrant(ctx context.Context, need *api.GrantRequest) (*api.GrantResponse, error) {
	var granted *api.GrantResponse
	err := c.insist(ctx, patienceAgents, func() (err error) {
		granted, err = c.AskGrant(ctx, need)
		return err
	})
	return granted, err
}

// AskGrant requests a grant once.
func (c *Client) AskGrant(ctx context.Context, need *api.GrantRequest) (*api.GrantResponse, error) {
	token, err := c.userToken(ctx)
	if err != nil {
		return nil, err
	}
	var granted api.GrantResponse
	if _, err := c.call(ctx, api.PathGrantRequest, token, false, need, &granted); err != nil {
		return nil, err
	}
	return &granted, nil
}

// Offer posts the offer until an agent has answered; see [Client.Introduce].
// The first wait is short, so that waiting gets the place in line within seconds,
// and no wait goes on beyond ctx's deadline. The error is a *api.Problem with
// api.CodeExpired for an expired grant, and with api.CodeNoAgent if all candidates
// are offline.
func (c *Client) Offer(ctx context.Context, granted *api.GrantResponse, offer []byte, waiting func(api.Waiting)) ([]byte, error) {
	token := granted.Grant
	for most := firstWait; ; most = api.MaxWait {
		var resp *response
		err := c.insist(ctx, 0, func() (err error) {
			resp, err = c.do(ctx, request{
				method: http.MethodPost, path: forJob(api.PathOffer, granted.JobID), token: token,
				contentType: api.TypeOpaque, body: offer, waits: true, most: untilEnd(ctx, most),
			})
			return err
		})
		if err != nil {
			return nil, err
		}
		if resp.status != http.StatusAccepted {
			return resp.body, nil
		}
		var w api.Waiting
		if err := json.Unmarshal(resp.body, &w); err != nil || w.Grant == "" {
			return nil, c.unexpected("response to a waiting offer", errors.Join(err, errors.New("it must have a grant")))
		}
		token = w.Grant
		if waiting != nil {
			waiting(w)
		}
		if err := Sleep(ctx, resp.retryAfter); err != nil {
			return nil, err
		}
	}
}

// untilEnd returns the wait to ask for: the time until ctx's deadline in whole
// seconds, so that the last response still arrives, but at most the given time
// and at least a second.
func untilEnd(ctx context.Context, most time.Duration) time.Duration {
	end, ok := ctx.Deadline()
	if !ok {
		return most
	}
	return max(min(most, (time.Until(end)-time.Second/2).Truncate(time.Second)), time.Second)
}

// Confirm reports how the job of the grant ended. It tries each way once: the
// broker's ranking of its agents can do without it.
func (c *Client) Confirm(ctx context.Context, jobID, grant string, word *api.Confirmation) error {
	_, err := c.call(ctx, forJob(api.PathConfirmation, jobID), grant, false, word, nil)
	return err
}

// insist repeats try while its error may pass and patience lasts. Only failing
// time uses up patience: the time that a broker held a request does not. A broker
// without agents is retried for the time alone.
func (c *Client) insist(ctx context.Context, alone time.Duration, try func() error) error {
	var backoff Backoff
	var failing time.Duration
	var last error
	for {
		began := time.Now()
		err := try()
		var u *Unreachable
		var p *api.Problem
		lonely := errors.As(err, &p) && p.Code == api.CodeNoAgent
		switch {
		case err == nil:
			return nil
		case last != nil && ctx.Err() != nil && !errors.As(err, &u):
			return last // names the cause; the context's error does not
		case lonely && alone == 0, !lonely && !Retryable(err):
			return err
		}
		if last == nil {
			c.log.Info("the broker does not answer as expected; retrying", "error", err)
		}
		last = err
		patience := patienceUnknown
		switch {
		case lonely:
			patience = alone
		case c.reached.Load():
			patience = patienceKnown
		}
		failing += time.Since(began)
		if errors.As(err, &u) {
			failing -= u.held
		}
		wait := backoff.Next(err)
		if failing += wait; failing > patience {
			return err
		}
		if Sleep(ctx, wait) != nil {
			return err
		}
	}
}
