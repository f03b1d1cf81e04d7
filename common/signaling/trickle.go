package signaling

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/farforge/farforge/common/api"
)

// Trickle passes the ICE candidates of one job through the broker, for both ends.
// A candidate is opaque to it. Its methods may run at the same time.
type Trickle struct {
	Client *Client
	JobID  string
	// Token returns the bearer token: the client's grant or the agent's
	// session.
	Token func(context.Context) (string, error)
}

// atOnce is how many candidates of one end are posted at the same time. One after
// the other, each would cost a round trip.
const atOnce = 4

// Send posts the candidates that local returns, from the index 0, until it
// returns an error, and returns when all are posted. It retries failures that may
// pass until ctx ends. Its error is the broker's refusal, if any.
func (t Trickle) Send(ctx context.Context, local func(ctx context.Context, i int) ([]byte, error)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := 0; ; i++ {
		candidate, err := local(ctx, i)
		if err != nil {
			break
		}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if err := t.post(ctx, candidate); err != nil {
				cancel(err) // the broker would refuse the others, too
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

func (t Trickle) post(ctx context.Context, candidate []byte) error {
	return t.again(ctx, func() error {
		token, err := t.Token(ctx)
		if err != nil {
			return err
		}
		_, err = t.Client.do(ctx, request{
			method: http.MethodPost, path: forJob(api.PathCandidate, t.JobID), token: token,
			contentType: api.TypeOpaque, body: candidate,
		})
		return err
	})
}

// Receive hands each candidate of the other end to remote, in their order,
// until remote returns true for the last one or ctx ends. The error is the
// broker's refusal or the context's.
func (t Trickle) Receive(ctx context.Context, remote func(candidate []byte) (last bool)) error {
	seen := 0
	for {
		var events []api.Event
		var pause time.Duration
		began := time.Now()
		err := t.again(ctx, func() (err error) {
			events, pause, err = t.events(ctx, seen)
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range events {
			seen = max(seen, e.Seq)
			if len(e.Candidate) == 0 {
				continue // the answer, which the client has from its offer
			}
			if remote(e.Candidate) {
				return nil
			}
		}
		// A broker that shuts down ends the wait at once.
		if len(events) == 0 && time.Since(began) < time.Second {
			pause = max(pause, time.Second/4)
		}
		if err := Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func (t Trickle) events(ctx context.Context, seen int) ([]api.Event, time.Duration, error) {
	token, err := t.Token(ctx)
	if err != nil {
		return nil, 0, err
	}
	resp, err := t.Client.do(ctx, request{
		method: http.MethodGet, path: forJob(api.PathEvents, t.JobID), token: token, waits: true,
		query: url.Values{api.AfterParam: {strconv.Itoa(seen)}},
	})
	if err != nil {
		return nil, 0, err
	}
	var events []api.Event
	if resp.status != http.StatusNoContent {
		if err := json.Unmarshal(resp.body, &events); err != nil {
			return nil, 0, t.Client.unexpected("list of events", err)
		}
	}
	return events, resp.retryAfter, nil
}

// again repeats try while its error may pass.
func (t Trickle) again(ctx context.Context, try func() error) error {
	var backoff Backoff
	for {
		err := try()
		var p *api.Problem
		full := errors.As(err, &p) && p.Status == http.StatusTooManyRequests
		if err == nil || full || !Retryable(err) {
			return err
		}
		if Sleep(ctx, backoff.Next(err)) != nil {
			return err
		}
	}
}
