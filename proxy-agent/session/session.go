// Package session is the agent's end of one peer connection: it decides whether
// a client may have the job it wants, and runs it.
//
// The broker introduces; the agent does not trust it. Before anything of a job
// runs, the agent itself checks, in this order:
//
//	grant      signed by a pinned key of this broker (trust.go), not  Admit
//	           expired by the broker's clock (clock.go), for this
//	           job, for this agent
//	offer      opens with the sealing key, if it is sealed            Admit
//	           announces the certificate that the grant names         Admit
//	job id     not used before (once.go)                              Answer
//	DTLS       the certificate presented is that one                  Serve
//	channels   those that the grant lists; others are closed          Serve
//
// The agent signs its answer with the certificate that it will present, so the
// client need not trust the broker either.
//
// Then one job runs, as common/channel describes it:
//
//	espctl    build ──▶ stage, log, problem, result ◀── ; cancel at any time
//	source    ──▶ a tree into a private workspace, unless the client
//	          names an archive for the agent to fetch (receive.go)
//	firmware  ◀── the artifacts and a signed statement about them
//	          (provenance.go)
//
// All channels together keep to the rates of the grant (throttle.go).
//
// A job ends when it is done, when the client cancels or vanishes, when the
// session's time is over, or when the agent stops. Then no process of it is left
// and Serve returns, so the agent can give its room to the next job and report.
// Only after that Close delivers the result, waits for the client to hang up,
// closes the connection, and removes the workspace: none of these takes the
// next job's time.
package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/peer"
)

const (
	// connectTime is how long the peers may take to connect.
	connectTime = 30 * time.Second
	// requestTime is how long a client may take to open a channel, or to send
	// its build message.
	requestTime = 30 * time.Second
)

// Session is one job with one client. Serve is called at most once, and Close
// exactly once.
type Session struct {
	host  *Host
	grant *grant.Grant
	conn  *peer.Conn
	offer *envelope.Received
	// trickles reports whether the client exchanges candidates after its offer.
	trickles bool
	began    time.Time
	log      *slog.Logger

	limits limits
	// refused holds labels of channels that were not granted, to report to the
	// client.
	refused chan string

	// Serve leaves these to Close.
	control  *control
	ending   *Ending
	removals []func() error
}

// allow judges a channel that the client opens. The connection calls it.
func (s *Session) allow(label string) error {
	err := s.grant.CheckChannel(label)
	if err != nil {
		select {
		case s.refused <- label:
		default: // the agent reports the first few
		}
	}
	return err
}

// Serve runs the job and returns when it is over and no process of it is left.
// Ending ctx stops the job.
func (s *Session) Serve(ctx context.Context) Ending {
	ending := s.serve(ctx)
	ending.Duration = time.Since(s.began)
	s.ending = &ending
	return ending
}

func (s *Session) serve(ctx context.Context) Ending {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	limit := time.Duration(s.grant.SessionSecs) * time.Second
	ctx, release := context.WithDeadlineCause(ctx, s.began.Add(limit), timeLimit(limit))
	defer release()

	control, err := s.meet(ctx)
	if err != nil {
		return ended(ctx, err)
	}
	s.control = control
	// The loops end with the job, before Close sends its result.
	var loops sync.WaitGroup
	defer loops.Wait()
	loopCtx, endLoops := context.WithCancel(context.WithoutCancel(ctx))
	defer endLoops()
	requests := make(chan *channel.Build, 1)
	loops.Go(func() { stop(control.listen(loopCtx, requests)) })
	loops.Go(func() { control.reportRefused(loopCtx, s.refused) })
	loops.Go(func() {
		select {
		case <-s.conn.Done():
			stop(s.conn.Err())
		case <-loopCtx.Done():
		}
	})
	// A send that waits for a client that does not read must not outlive the
	// job, either.
	unlock := context.AfterFunc(ctx, endLoops)
	defer unlock()
	return s.job(ctx, control, requests)
}

// meet waits for the client, checks its certificate and opens the control
// channel.
func (s *Session) meet(ctx context.Context) (*control, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTime, fmt.Errorf("%w: the two ends did not connect in %v", peer.ErrLost, connectTime))
	defer cancel()
	if err := s.conn.Connected(ctx); err != nil {
		return nil, because(ctx, err)
	}
	if err := s.grant.CheckFingerprint(s.conn.RemoteFingerprint()); err != nil {
		return nil, &channel.Problem{Code: channel.ProblemUngranted, Message: err.Error()}
	}
	if err := s.grant.CheckChannel(channel.LabelControl); err != nil {
		return nil, &channel.Problem{Code: channel.ProblemUngranted, Message: err.Error()}
	}
	m, err := s.conn.Channel(ctx, channel.LabelControl)
	if err != nil {
		return nil, because(ctx, err)
	}
	return newControl(s.throttle(m, channel.LabelControl), s.log), nil
}

// because returns why ctx has ended, or err if it has not.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Close delivers the result of a job that was served, waits for the client to
// hang up, closes the connection and removes the job's files. Ending ctx makes
// it hurry.
func (s *Session) Close(ctx context.Context) error {
	if s.ending != nil && s.control != nil && s.conn.Err() == nil {
		s.farewell(ctx)
	}
	err := s.conn.Close()
	for _, remove := range s.removals {
		err = errors.Join(err, remove())
	}
	return err
}
