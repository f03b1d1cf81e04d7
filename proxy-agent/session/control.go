package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/farforge/farforge/common/channel"
)

// maxMalformed is how many malformed messages a client may send before the
// agent ends the job.
const maxMalformed = 16

// control is the espctl channel.
type control struct {
	m    channel.Messages
	log  *slog.Logger
	turn chan struct{} // holds a token while nobody writes
}

func newControl(m channel.Messages, log *slog.Logger) *control {
	c := &control{m: m, log: log, turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	return c
}

// send sends one message. It waits for its turn and for a client that reads
// slowly, both no longer than ctx.
func (c *control) send(ctx context.Context, msg *channel.Message) error {
	select {
	case <-c.turn:
	case <-ctx.Done():
		return fmt.Errorf("send a %s message: %w", msg.Type, ctx.Err())
	}
	defer func() { c.turn <- struct{}{} }()
	return channel.WriteControl(ctx, c.m, msg)
}

func (c *control) stage(ctx context.Context, stage channel.Stage) error {
	return c.send(ctx, &channel.Message{Type: channel.TypeStage, Stage: &stage})
}

// problem sends the client a problem that does not end the job.
func (c *control) problem(ctx context.Context, p *channel.Problem) {
	if err := c.send(ctx, &channel.Message{Type: channel.TypeProblem, Problem: p}); err != nil {
		c.log.Debug("the client did not get a problem", "problem", p, "error", err)
	}
}

// listen reads the client's messages until the connection or ctx ends, and
// returns why the job must end.
func (c *control) listen(ctx context.Context, requests chan<- *channel.Build) error {
	malformed := 0
	for {
		msg, err := channel.ReadControl(ctx, c.m)
		var p *channel.Problem
		switch {
		case errors.As(err, &p):
			if malformed++; malformed > maxMalformed {
				return p
			}
			c.problem(ctx, p)
			continue
		case err != nil:
			return err
		}
		switch msg.Type {
		case channel.TypeBuild:
			select {
			case requests <- msg.Build:
				requests = nil // a nil channel is never ready
			default:
				c.problem(ctx, &channel.Problem{Code: channel.ProblemMalformed, Message: "a session builds once; get another grant to build again"})
			}
		case channel.TypeCancel:
			return errCanceled
		default:
			c.log.Debug("ignored a control message", "type", msg.Type)
		}
	}
}

// reportRefused sends the client a problem for each channel that was closed
// because the grant does not list it.
func (c *control) reportRefused(ctx context.Context, refused <-chan string) {
	for {
		select {
		case label := <-refused:
			c.log.Warn("refused a channel that was not granted", "label", label)
			c.problem(ctx, &channel.Problem{
				Code:    channel.ProblemUngranted,
				Message: fmt.Sprintf("the channel %.80q was closed: the grant does not list it", label),
			})
		case <-ctx.Done():
			return
		}
	}
}
