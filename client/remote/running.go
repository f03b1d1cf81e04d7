package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/peer"
)

// running is a job on a connected agent. Each channel has a goroutine; only drive
// decides.
type running struct {
	job       *Job
	conn      *peer.Conn
	events    *emitter
	outcome   *Outcome
	confirmer *confirmer
	start     time.Time

	control channel.Messages
	cause   error            // this side's reason to stop; the first one counts
	grace   <-chan time.Time // fires when this side stops waiting for a result
}

// The goroutines report these to drive.
type (
	controlEnd struct {
		result *channel.Result
		err    error
	}
	uploadEnd struct {
		sent channel.Transferred
		err  error
	}
	downloadEnd struct {
		got *channel.Manifest
		err error
	}
)

// drive runs the job to its end.
func (r *running) drive(ctx context.Context) error {
	// The channels outlive ctx, so that cancel can go out and a result come in.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	defer group.Wait()
	defer stop()

	var err error
	if r.control, err = r.conn.Channel(ctx, channel.LabelControl); err != nil {
		return connectError(ctx, r.outcome.Agent, err)
	}
	build := r.job.Build
	if r.job.CacheKey != nil {
		build.Cache = r.job.CacheKey(r.outcome.Agent.Fingerprint)
	}
	if err := channel.WriteControl(work, r.control, &channel.Message{Type: channel.TypeBuild, Build: &build}); err != nil {
		return connectError(ctx, r.outcome.Agent, err)
	}
	controls, uploads, downloads := make(chan controlEnd, 1), make(chan uploadEnd, 1), make(chan downloadEnd, 1)
	refused := make(chan *channel.Problem, 1)
	group.Go(func() { result, err := r.listen(work, refused); controls <- controlEnd{result, err} })
	if r.job.Source != nil {
		group.Go(func() { sent, err := r.upload(work); uploads <- uploadEnd{sent, err} })
	}
	group.Go(func() { got, err := r.download(work); downloads <- downloadEnd{got, err} })

	deadline := time.NewTimer(time.Duration(r.job.Need.TimeoutSecs)*time.Second + overtime)
	defer deadline.Stop()
	interrupted, over := ctx.Done(), r.conn.Done()
	var result *channel.Result
	for {
		select {
		case end := <-controls:
			if end.err != nil {
				r.giveUp(work, lostError(r.outcome.Agent, r.why(end.err)))
				return r.cause
			}
			result = end.result
			select {
			case p := <-refused: // it arrived before the result
				r.giveUp(work, refusedError(r.outcome.Agent, p))
			default:
			}
		case end := <-uploads:
			r.outcome.Sent = end.sent
			if end.err != nil && result == nil {
				r.giveUp(work, uploadError(r.outcome.Agent, end.err))
			}
		case end := <-downloads:
			r.outcome.Received = end.got
			if end.err != nil {
				r.giveUp(work, downloadError(r.outcome.Agent, end.err))
			}
		case p := <-refused:
			r.giveUp(work, refusedError(r.outcome.Agent, p))
		case <-interrupted:
			interrupted = nil
			r.giveUp(work, canceledError(ctx))
		case <-over:
			over = nil
			r.giveUp(work, lostError(r.outcome.Agent, &closedError{r.conn.Err()}))
			r.grace = time.After(drainTimeout)
		case <-r.grace:
			return r.cause
		case <-deadline.C:
			r.giveUp(work, lostError(r.outcome.Agent, errors.New("it did not end the job at its time limit")))
			return r.cause
		}
		if ended, err := r.judge(result); ended {
			return err
		}
	}
}

// judge reports whether the job has ended, and how. This side's reason to stop takes
// precedence, unless the agent only closed a channel: then its result, if it arrived, has
// the reason.
func (r *running) judge(result *channel.Result) (ended bool, err error) {
	switch {
	case result == nil:
		return false, nil
	case r.cause != nil && !isClosing(r.cause):
		return true, r.cause
	case result.Outcome != api.OutcomeSucceeded:
		r.confirmer.agentEnded(result.Outcome)
		return true, resultError(r.outcome.Agent, result)
	case result.Delivered() > 0 && r.outcome.Received == nil:
		return false, nil // the artifacts have not all arrived
	default:
		r.outcome.Result = result
		return true, nil
	}
}

// giveUp asks the agent to stop and keeps the reason. Only the first reason counts, but
// any reason replaces the error of a closed channel.
func (r *running) giveUp(work context.Context, cause error) {
	if r.cause != nil {
		if isClosing(r.cause) && !isClosing(cause) {
			r.cause = cause
		}
		return
	}
	r.cause = cause
	wait := cancelTimeout
	if isClosing(cause) {
		wait = resultTimeout
	}
	if cli.Code(cause) == cli.Interrupted {
		r.events.event(Canceling{})
	}
	timer := time.NewTimer(wait)
	r.grace = timer.C
	if r.conn.Err() != nil {
		return
	}
	short, cancel := context.WithTimeout(work, wait)
	defer cancel()
	if err := channel.WriteControl(short, r.control, &channel.Message{Type: channel.TypeCancel}); err != nil {
		r.job.Logger.Debug("cancel the job", "error", err)
	}
}

// why returns the connection's error, or else that of one of its channels.
func (r *running) why(err error) error {
	if reason := r.conn.Err(); reason != nil {
		return reason
	}
	if errors.Is(err, io.EOF) {
		return errors.New("it closed the control channel without a result")
	}
	return err
}

// listen reads the control channel up to the result.
func (r *running) listen(ctx context.Context, refused chan<- *channel.Problem) (*channel.Result, error) {
	for {
		msg, err := channel.ReadControl(ctx, r.control)
		var p *channel.Problem
		if errors.As(err, &p) {
			r.job.Logger.Warn("ignored a control message", "error", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		switch msg.Type {
		case channel.TypeStage:
			if msg.Stage.Name == channel.StageBuild {
				r.outcome.Setup = time.Since(r.start)
			}
			r.events.event(Stage{*msg.Stage})
		case channel.TypeLog:
			r.events.event(Log{*msg.Log})
		case channel.TypeProblem:
			r.events.event(Notice{*msg.Problem})
			if msg.Problem.Code == channel.ProblemUngranted {
				select {
				case refused <- msg.Problem:
				default:
				}
			}
		case channel.TypeResult:
			return msg.Result, nil
		}
	}
}

func (r *running) upload(ctx context.Context) (channel.Transferred, error) {
	m, err := r.conn.Channel(ctx, channel.LabelSource)
	if err != nil {
		return channel.Transferred{}, err
	}
	sent, err := channel.SendTree(ctx, m, r.job.Source, r.job.Open, func(done, total int64) {
		r.events.event(Upload{done, total})
	})
	if err != nil {
		err = errors.Join(err, m.Close()) // the agent waits for the rest otherwise
	}
	return sent, err
}

func (r *running) download(ctx context.Context) (*channel.Manifest, error) {
	m, err := r.conn.Channel(ctx, channel.LabelFirmware)
	if err != nil {
		return nil, err
	}
	sink, err := r.job.Sink()
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	got, _, err := channel.ReceiveTree(ctx, m, sink, func(done, total int64) {
		r.events.event(Download{done, total})
	})
	if err != nil {
		return nil, fmt.Errorf("receive the artifacts: %w", errors.Join(err, m.Close()))
	}
	return got, nil
}
