package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/farforge/farforge/common/channel"
)

// maxMalformed is how many messages may be malformed before the client is
// taken for something else than a client.
const maxMalformed = 16

// control is the espctl channel.
type control struct {
	m   channel.Messages
	log *slog.Logger
	mu  sync.Mutex // one writer at a time
}

func (c *control) send(ctx context.Context, msg *channel.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return channel.WriteControl(ctx, c.m, msg)
}

func (c *control) stage(ctx context.Context, stage channel.Stage) error {
	return c.send(ctx, &channel.Message{Type: channel.TypeStage, Stage: &stage})
}

// problem tells the client of something that does not end the job.
func (c *control) problem(ctx context.Context, p *channel.Problem) {
	if err := c.send(ctx, &channel.Message{Type: channel.TypeProblem, Problem: p}); err != nil {
		c.log.Debug("the client did not get a problem", "problem", p, "error", err)
	}
}

// listen reads what the client says until the connection or ctx ends, and
// returns why the job has to end.
func (c *control) listen(ctx context.Context, asked chan<- *channel.Build) error {
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
			case asked <- msg.Build:
				asked = nil // a nil channel is never ready
			default:
				c.problem(ctx, &channel.Problem{Code: channel.ProblemMalformed, Message: "a session builds once; ask for another grant to build again"})
			}
		case channel.TypeCancel:
			return errCanceled
		default:
			c.log.Debug("passed over a control message", "type", msg.Type)
		}
	}
}

// tellRefused tells the client which of its channels were closed, and why.
func (c *control) tellRefused(ctx context.Context, refused <-chan string) {
	for {
		select {
		case label := <-refused:
			c.log.Warn("refused a channel that was not granted", "label", label)
			c.problem(ctx, &channel.Problem{
				Code:    channel.ProblemUngranted,
				Message: fmt.Sprintf("the channel %q was closed: the grant does not list it", label),
			})
		case <-ctx.Done():
			return
		}
	}
}
