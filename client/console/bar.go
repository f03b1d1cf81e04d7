package console

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

const refresh = 100 * time.Millisecond

// bar is one progress bar on a terminal.
type bar struct {
	name  string
	total int64
	pool  *mpb.Progress
	bar   *mpb.Bar
	note  atomic.Pointer[string] // text behind the bar
}

func newBar(w io.Writer, name string, total int64) *bar {
	b := &bar{name: name, total: total}
	b.setNote("")
	b.pool = mpb.New(mpb.WithOutput(w), mpb.WithAutoRefresh(), mpb.WithRefreshRate(refresh), mpb.WithWidth(32))
	b.bar = b.pool.New(total, mpb.BarStyle().Lbound("[").Filler("=").Tip(">").Padding(" ").Rbound("]"),
		mpb.PrependDecorators(decor.Name(name+" ")),
		mpb.AppendDecorators(
			decor.Percentage(decor.WC{W: 5}),
			decor.Name("  "),
			decor.Any(func(s decor.Statistics) string {
				return Bytes(s.Current) + " of " + Bytes(s.Total) + *b.note.Load()
			}),
		),
	)
	return b
}

func (b *bar) setNote(text string) {
	if text != "" {
		text = "  " + text
	}
	b.note.Store(&text)
}

func (b *bar) print(text string) {
	_, _ = b.pool.Write([]byte(text)) // above the bar, at the next refresh
}

// end ends the bar: complete, or at its last state.
func (b *bar) end(complete bool) {
	if complete {
		b.bar.SetCurrent(b.total)
		b.bar.SetTotal(b.total, true)
	} else {
		b.bar.Abort(false)
	}
	b.pool.Wait()
}

// progress draws the progress of a transfer with this name. A transfer with another name
// ends the bar and gets a new one.
func (c *Console) progress(name string, done, total int64, note string) {
	if !c.bars || total <= 0 {
		return
	}
	if c.bar != nil && c.bar.name != name {
		c.endBar(true)
	}
	if c.bar == nil {
		c.bar = newBar(c.stderr, name, total)
	}
	c.bar.setNote(note)
	c.bar.bar.SetCurrent(done)
	if done >= total && note == "" {
		c.endBar(true)
	}
}

func (c *Console) endBar(complete bool) {
	if c.bar != nil {
		c.bar.end(complete)
		c.bar = nil
	}
}
