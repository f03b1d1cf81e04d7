package console

import (
	"io"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/farforge/farforge/client/remote"
)

type waitingEvent struct {
	Event        string `json:"event"` // "waiting"
	Position     int    `json:"position,omitempty"`
	EstimateSecs int    `json:"estimate_seconds,omitempty"`
}

func newWaitingEvent(w remote.Waiting) waitingEvent {
	return waitingEvent{"waiting", w.Position, int(w.Estimate / time.Second)}
}

// inLine shows the place in line: on a terminal in one line that is redrawn, elsewhere
// in a new line for each new place.
func (c *Console) inLine(w remote.Waiting) {
	text := "all able agents are busy; waiting"
	if place := w.String(); place != "" {
		text = "all able agents are busy; " + place
	}
	switch {
	case c.bars && c.bar != nil && c.bar.name == waitingLine:
		c.bar.note.Store(&text)
	case c.bars:
		c.endBar(true)
		c.bar = newLine(c.stderr, text)
	case c.waiting && w.Position == c.position: // no new place
	default:
		c.say("%s", text)
	}
	c.waiting, c.position = true, w.Position
}

const waitingLine = "waiting"

// newLine returns a bar that consists of its note.
func newLine(stderr io.Writer, text string) *bar {
	b := &bar{name: waitingLine}
	b.note.Store(&text)
	b.pool = mpb.New(mpb.WithOutput(stderr), mpb.WithAutoRefresh(), mpb.WithRefreshRate(refresh))
	b.bar = b.pool.New(0, mpb.NopStyle(), mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return *b.note.Load() })))
	return b
}
