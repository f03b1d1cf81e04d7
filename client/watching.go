package main

import (
	"context"
	"os"
	"time"

	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/client/remote"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/signaling"
)

// The notices of --watch about the broker.
const (
	noticeAway channel.ProblemCode = "broker_away"
	noticeBack channel.ProblemCode = "broker_back"
)

// watchAgents keeps the list of agents up to date until the user ends it, which is not a
// failure.
func (a *app) watchAgents(ctx context.Context, c *listingConfig, broker *introducer) error {
	w := a.ui.WatchAgents()
	err := a.keepLooking(ctx, c, broker, w)
	w.Close()
	if err != nil {
		return err
	}
	a.ui.Done(console.Report{Agents: w.Count()})
	return nil
}

// keepLooking shows the agents until ctx ends. It retries when the broker stops
// answering, but the first request must succeed.
func (a *app) keepLooking(ctx context.Context, c *listingConfig, broker *introducer, w *console.AgentWatch) error {
	resized, forget := resizes()
	defer forget()
	backoff := signaling.Backoff{Base: c.Interval, Max: max(c.Interval, maxPause)}
	for away := false; ; {
		pause := c.Interval
		switch l, err := c.look(ctx, broker); {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			if away {
				a.notice(noticeBack, "the broker answers again")
			}
			away = false
			backoff.Reset()
			w.Show(l)
		case w.Count() == nil || !signaling.Retryable(err):
			return listingError(ctx, broker, err)
		default:
			if !away {
				a.notice(noticeAway, listingError(ctx, broker, err).Error()+"; retrying")
			}
			away = true
			pause = max(pause, backoff.Next(err))
		}
		if !rest(ctx, pause, resized, w.Redraw) {
			return nil
		}
	}
}

// rest waits, and calls redraw when the terminal's size changes. It returns false
// once ctx has ended.
func rest(ctx context.Context, pause time.Duration, resized <-chan os.Signal, redraw func()) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return true
		case <-resized:
			redraw()
		case <-ctx.Done():
			return false
		}
	}
}

// notice shows an event that does not end the command.
func (a *app) notice(code channel.ProblemCode, message string) {
	a.ui.Event(remote.Notice{Problem: channel.Problem{Code: code, Message: message}})
}
