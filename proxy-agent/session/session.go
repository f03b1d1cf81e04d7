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
	// connectTime is how long the peers may take to meet.
	connectTime = 30 * time.Second
	// askTime is how long a client may take to open a channel that is its turn
	// to open, or to say what it wants.
	askTime = 30 * time.Second
	// farewellTime is how long the agent tries to deliver its last message, and
	// waits for the client to hang up, once the job is over.
	farewellTime = 10 * time.Second
)

// Session is one job with one client. Serve and Close are each called once at
// most, and one of them must be.
type Session struct {
	host  *Host
	grant *grant.Grant
	conn  *peer.Conn
	offer *envelope.Received
	// trickles tells whether the client exchanges candidates after its offer.
	trickles bool
	began    time.Time
	log      *slog.Logger

	limits limits
	// refused holds labels of channels that were not granted, to be told.
	refused chan string
}

// allow judges a channel that the client opens. It is called by the connection.
func (s *Session) allow(label string) error {
	err := s.grant.CheckChannel(label)
	if err != nil {
		select {
		case s.refused <- label:
		default: // the client is told of the first few
		}
	}
	return err
}

// Close ends a session that is not served.
func (s *Session) Close() error { return s.conn.Close() }

// Serve runs the job and returns when it is over, nothing of it is left, and
// the connection is closed. Ending ctx stops the job.
func (s *Session) Serve(ctx context.Context) Ending {
	ending := s.serve(ctx)
	if err := s.conn.Close(); err != nil {
		s.log.Debug("close the peer connection", "error", err)
	}
	ending.Duration = time.Since(s.began)
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
	var loops sync.WaitGroup
	defer loops.Wait()
	// A second context, so that the loops outlive the job: its result has to
	// go out, whatever ended it.
	loopCtx, endLoops := context.WithCancel(context.WithoutCancel(ctx))
	defer endLoops()
	asked := make(chan *channel.Build, 1)
	loops.Go(func() { stop(control.listen(loopCtx, asked)) })
	loops.Go(func() { control.tellRefused(loopCtx, s.refused) })
	loops.Go(func() {
		select {
		case <-s.conn.Done():
			stop(s.conn.Err())
		case <-loopCtx.Done():
		}
	})

	ending := s.job(ctx, control, asked)
	s.log.Info("job ended", "outcome", ending.Outcome, "problem", ending.Problem)
	s.farewell(control, &ending)
	return ending
}

// meet waits for the client, checks who it is and opens the control channel.
func (s *Session) meet(ctx context.Context) (*control, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTime, fmt.Errorf("%w: the two ends did not meet in %v", peer.ErrLost, connectTime))
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
	return &control{m: s.throttle(m, channel.LabelControl), log: s.log}, nil
}

// because returns why ctx has ended, or err if it has not.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// farewell sends the result and waits until the client has hung up, because
// closing first would lose what is still on its way.
func (s *Session) farewell(control *control, ending *Ending) {
	if s.conn.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewellTime)
	defer cancel()
	if err := control.send(ctx, &channel.Message{Type: channel.TypeResult, Result: ending.result()}); err != nil {
		if !errors.Is(err, peer.ErrLost) {
			s.log.Warn("the client did not get the result", "error", err)
		}
		return
	}
	select {
	case <-s.conn.Done():
	case <-ctx.Done():
	}
}
