package session

import (
	"context"

	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/proxy-agent/sandbox"
)

// The sandbox cuts lines shorter than a log message allows.
const _ = uint(channel.MaxLogLine - sandbox.DefaultLineBytes)

// logs carries the lines of a build to the client while it runs. Lines that
// come faster than the channel takes them go together in one message. When too
// many lines wait, the build waits.
type logs struct {
	ctx   context.Context
	lines chan sandbox.Line
	done  chan struct{}
}

func (c *control) pumpLogs(ctx context.Context) *logs {
	l := &logs{ctx: ctx, lines: make(chan sandbox.Line, 512), done: make(chan struct{})}
	go func() { // it ends with finish
		defer close(l.done)
		for {
			batch, more := l.next()
			if err := c.sendLog(ctx, batch); err != nil {
				break // the job is ending, and line returns with ctx
			}
			if !more {
				return
			}
		}
		for range l.lines {
		}
	}()
	return l
}

// line takes one line. It is the Output of a sandbox.Spec.
func (l *logs) line(line sandbox.Line) {
	select {
	case l.lines <- line:
	case <-l.ctx.Done():
	}
}

// finish returns when all lines were sent, or when ctx has ended.
func (l *logs) finish() {
	close(l.lines)
	<-l.done
}

// next waits for a line and takes the lines that wait behind it.
func (l *logs) next() (batch []sandbox.Line, more bool) {
	line, ok := <-l.lines
	for ok {
		batch = append(batch, line)
		if len(batch) == cap(l.lines) {
			return batch, true
		}
		select {
		case line, ok = <-l.lines:
		default:
			return batch, true
		}
	}
	return batch, false
}

// sendLog sends lines. Adjacent lines of one stream go together.
func (c *control) sendLog(ctx context.Context, batch []sandbox.Line) error {
	for len(batch) > 0 {
		stream := batch[0].Stream
		var texts []string
		for len(batch) > 0 && batch[0].Stream == stream {
			texts = append(texts, batch[0].Text)
			batch = batch[1:]
		}
		for _, msg := range channel.BatchLog(stream, texts) {
			if err := c.send(ctx, msg); err != nil {
				return err
			}
		}
	}
	return nil
}
