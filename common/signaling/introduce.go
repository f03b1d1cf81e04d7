package signaling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/farforge/farforge/common/api"
)

// How long a broker may fail until a client gives it up: long enough for a
// restart when it has answered before, and not long when it never has, because
// then the URL is likely wrong.
const (
	patienceKnown   = 30 * time.Second
	patienceUnknown = 2 * time.Second
	// A broker that was just started has not heard of its agents yet.
	patienceAgents = 10 * time.Second
)

// firstWait is how long an offer is to be held at first: just long enough that
// an agent which does not answer loses the job to the next one meanwhile, and
// short enough that a client learns its place in line soon.
const firstWait = api.AnswerTimeout + time.Second

// Introduction is an agent's answer, and the grant under which it was given: the
// last one, if the wait was long.
type Introduction struct {
	Grant  *api.GrantResponse
	Answer []byte
}

// Introduce gets a grant, has makeOffer make the offer for it, and repeats the
// offer until an agent has answered. It goes on over waits that end without an
// answer (waiting is told of each), over broken connections and over a broker
// that restarts, until ctx ends or the broker refuses.
//
// makeOffer is called again for each new grant, should one expire while the
// broker is away: it is for a new job, and its candidates, to whom the offer is
// sealed, may be others.
func (c *Client) Introduce(ctx context.Context, need *api.GrantRequest, makeOffer func(context.Context, *api.GrantResponse) ([]byte, error), waiting func(api.Waiting)) (*Introduction, error) {
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
		if errors.As(err, &p) && p.Code == api.CodeExpired {
			c.log.Info("the grant expired before an agent answered; asking for another", "job", granted.JobID)
			continue
		}
		if err != nil {
			return nil, err
		}
		return &Introduction{Grant: &last, Answer: answer}, nil
	}
}

// RequestGrant asks for a grant, and repeats that while the broker is
// unreachable, too busy or without any agent and patience lasts.
func (c *Client) RequestGrant(ctx context.Context, need *api.GrantRequest) (*api.GrantResponse, error) {
	var granted *api.GrantResponse
	err := c.insist(ctx, func() (err error) {
		granted, err = c.AskGrant(ctx, need)
		return err
	})
	return granted, err
}

// AskGrant asks for a grant once.
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
// The first wait is a short one, so that waiting is told of the place in line
// within seconds; none is asked for that goes on beyond ctx's deadline. An
// expired grant is a *api.Problem with api.CodeExpired.
func (c *Client) Offer(ctx context.Context, granted *api.GrantResponse, offer []byte, waiting func(api.Waiting)) ([]byte, error) {
	token := granted.Grant
	for most := firstWait; ; most = api.MaxWait {
		var resp *response
		err := c.insist(ctx, func() (err error) {
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
			return nil, &Unreachable{URL: c.origin, Err: fmt.Errorf("its response to a waiting offer is not as expected")}
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

// untilEnd is the wait to ask for: what is left until ctx's deadline in whole
// seconds, so that the last news still comes, but at most the given time and at
// least a second.
func untilEnd(ctx context.Context, most time.Duration) time.Duration {
	end, ok := ctx.Deadline()
	if !ok {
		return most
	}
	return max(min(most, (time.Until(end)-time.Second/2).Truncate(time.Second)), time.Second)
}

// Confirm tells how a job ended whose answer came under the grant. It is tried
// once, on each way: the broker's ranking of its agents does without it.
func (c *Client) Confirm(ctx context.Context, jobID, grant string, word *api.Confirmation) error {
	_, err := c.call(ctx, forJob(api.PathConfirmation, jobID), grant, false, word, nil)
	return err
}

// insist repeats try while its error may pass and patience lasts. Patience
// is counted from the first failure, so that a request that the broker held for
// long and then lost has used up none of it.
func (c *Client) insist(ctx context.Context, try func() error) error {
	var backoff Backoff
	var failing time.Time
	for {
		err := try()
		var p *api.Problem
		alone := errors.As(err, &p) && p.Code == api.CodeNoAgent
		if err == nil || !(alone || Retryable(err)) {
			return err
		}
		if failing.IsZero() {
			failing = time.Now()
			c.log.Info("the broker does not answer as it should; trying again", "error", err)
		}
		patience := patienceUnknown
		switch {
		case alone:
			patience = patienceAgents
		case c.reached.Load():
			patience = patienceKnown
		}
		wait := backoff.Next(err)
		if time.Since(failing)+wait > patience {
			return err
		}
		if Sleep(ctx, wait) != nil {
			return err // says more than the context
		}
	}
}
