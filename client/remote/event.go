package remote

import (
	"sync"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
)

// Event is something that happens during a job and that a user may want to
// see. It is one of the types below, [Waiting] or [Explained].
type Event interface{ event() }

// Granted tells that the broker has given a grant: these agents could do it.
type Granted struct {
	JobID      string
	Candidates []api.Candidate
}

// Connected tells that an agent has taken the job and is there.
type Connected struct {
	Agent Agent
	// Relayed is set when packets go through the broker's relay.
	Relayed bool
	// After is how long it took from the start of the job.
	After time.Duration
}

// Stage tells that a phase of the job begins on the agent.
type Stage struct{ channel.Stage }

// Log is output of the build, whole lines.
type Log struct{ channel.Log }

// Notice is something that the agent refuses or complains about, or that this
// end has to say, and that does not end the job by itself.
type Notice struct{ channel.Problem }

// The codes of this end's own notices.
const (
	NoticeClockSkew channel.ProblemCode = "clock_skew"
	NoticeNewAgent  channel.ProblemCode = "new_agent"
	NoticeUnsealed  channel.ProblemCode = "unsealed"
	// NoticeUnexplained is for a broker that was asked for its reasons and gave none.
	NoticeUnexplained channel.ProblemCode = "unexplained"
)

// Upload and Download tell how many bytes of contents have gone, and how many
// will. The last of each has them equal.
type (
	Upload   struct{ Done, Total int64 }
	Download struct{ Done, Total int64 }
)

// Canceling tells that the agent has been asked to stop.
type Canceling struct{}

func (Granted) event()   {}
func (Waiting) event()   {}
func (Connected) event() {}
func (Stage) event()     {}
func (Log) event()       {}
func (Notice) event()    {}
func (Upload) event()    {}
func (Download) event()  {}
func (Canceling) event() {}

// teller hands events to the caller one after another.
type teller struct {
	mu   sync.Mutex
	tell func(Event)
}

func (t *teller) event(e Event) {
	if t.tell == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tell(e)
}
