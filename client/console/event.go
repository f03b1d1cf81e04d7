package console

import (
	"fmt"
	"strings"
	"time"

	"github.com/farforge/farforge/client/remote"
	"github.com/farforge/farforge/common/channel"
)

// slow is the least duration of a transfer that gets a line on a pipe.
const slow = time.Second

// jsonEvery is the least time between two events of progress as JSON. The last event of
// each transfer is always written.
const jsonEvery = 100 * time.Millisecond

// Event shows an event of a job.
func (c *Console) Event(e remote.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.json {
		c.jsonEvent(e)
		return
	}
	switch e := e.(type) {
	case remote.Waiting:
		c.inLine(e)
	case remote.Explained:
		c.explained(e)
	case remote.Connected:
		c.endBar(true)
		c.say("connected to %s, %s", Clean(e.Agent.Name, false), way(e.Relayed))
	case remote.Stage:
		c.stage(e.Stage)
	case remote.Log:
		for _, line := range e.Lines {
			c.say("%s", Clean(line, c.color))
		}
	case remote.Notice:
		c.say("%s", Clean(e.Message, false))
	case remote.Upload:
		c.transfer("upload", e.Done, e.Total)
	case remote.Download:
		c.transfer("download", e.Done, e.Total)
	case remote.Canceling:
		c.endBar(false)
		c.say("canceling the build; interrupt again to leave at once")
	}
}

func (c *Console) stage(s channel.Stage) {
	if s.Name != channel.StageBuild {
		return
	}
	c.endBar(true)
	with := Clean(strings.TrimSpace(s.Toolchain+" "+s.Version), false)
	text := "building"
	if s.Target != "" {
		text += " for " + Clean(s.Target, false)
	}
	if with != "" {
		text += " with " + with
	}
	if s.Recipe != "" {
		text += " (recipe " + Clean(s.Recipe, false) + ")"
	}
	c.say("%s", text)
}

func (c *Console) transfer(name string, done, total int64) {
	if c.bars {
		c.progress(name, done, total, "")
		return
	}
	began, ok := c.since[name]
	if !ok {
		began = time.Now()
		c.since[name] = began
	}
	if took := time.Since(began); done == total && took > slow {
		c.say("%sed %s in %.1f s", name, Bytes(total), took.Seconds())
	}
}

func way(relayed bool) string {
	if relayed {
		return "through the broker's relay"
	}
	return "directly"
}

// Bytes returns a number of bytes with its unit.
func Bytes(n int64) string {
	switch {
	case n == 1:
		return "1 byte"
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 1000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	default:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	}
}
