package remote

import (
	"context"
	"sync"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/peer"
	"github.com/farforge/farforge/common/signaling"
)

// trickle exchanges ICE candidates with the agent through the broker while the
// two ends connect; stop ends it.
type trickle struct {
	loops  sync.WaitGroup
	ctx    context.Context // of all loops
	cancel context.CancelFunc
	// resend stops sending for a former grant.
	resend context.CancelFunc

	mu    sync.Mutex
	token string // the newest grant
}

func newTrickle(ctx context.Context) *trickle {
	t := &trickle{resend: func() {}}
	t.ctx, t.cancel = context.WithCancel(ctx)
	return t
}

// stop ends the exchange and waits for its goroutines.
func (t *trickle) stop() {
	t.cancel()
	t.loops.Wait()
}

func (t *trickle) renew(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.token = token
}

func (t *trickle) of(job *Job, jobID string) signaling.Trickle {
	return signaling.Trickle{Client: job.Broker, JobID: jobID, Token: func(context.Context) (string, error) {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.token, nil
	}}
}

// send starts sending the candidates that the offer does not have. For another grant it
// starts again, because another job has another mailbox and other readers.
func (t *trickle) send(job *Job, granted *api.GrantResponse, offer *peer.Offer, sealed *envelope.Offer) {
	t.resend()
	t.renew(granted.Grant)
	ctx, cancel := context.WithCancel(t.ctx)
	t.resend = cancel
	t.loops.Go(func() {
		err := t.of(job, granted.JobID).Send(ctx, func(ctx context.Context, i int) ([]byte, error) {
			candidate, err := offer.Trickle().Local(ctx, i)
			if err != nil {
				return nil, err
			}
			return sealed.SealCandidate(candidate)
		})
		if err != nil && ctx.Err() == nil {
			job.Logger.Debug("candidates did not reach the broker", "error", err)
		}
	})
}

// receive starts taking the candidates that the answer does not have.
func (t *trickle) receive(job *Job, jobID string, offer *peer.Offer, sealed *envelope.Offer) {
	t.loops.Go(func() {
		err := t.of(job, jobID).Receive(t.ctx, func(body []byte) (last bool) {
			candidate, err := sealed.OpenCandidate(body)
			if err == nil {
				last, err = offer.Trickle().Remote(candidate)
			}
			if err != nil {
				job.Logger.Debug("ignored a candidate", "error", err)
				return false
			}
			return last
		})
		if err != nil && t.ctx.Err() == nil {
			job.Logger.Debug("the agent's candidates did not arrive", "error", err)
		}
	})
}
