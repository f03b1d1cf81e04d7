package remote

import (
	"sync"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
)

// Event is an event of a job for the user: one of the types below, [Waiting] or
// [Explained].
type Event interface{ event() }

// Granted is the event of a grant from the broker, with the agents that can do the job.
type Granted struct {
	JobID      string
	Candidates []api.Candidate
}

// Connected is the event of a connection to the agent that took the job.
type Connected struct {
	Agent Agent
	// Relayed is set when packets go through the broker's relay.
	Relayed bool
	// After is the time since the start of the job.
	After time.Duration
}

// Stage is the event of a phase that begins on the agent.
type Stage struct{ channel.Stage }

// Log is output of the build, in whole lines.
type Log struct{ channel.Log }

// Notice is a message of the agent or the client that does not end the job.
type Notice struct{ channel.Problem }

// The codes of the client's own notices.
const (
	NoticeClockSkew channel.ProblemCode = "clock_skew"
	NoticeNewAgent  channel.ProblemCode = "new_agent"
	NoticeUnsealed  channel.ProblemCode = "unsealed"
	// NoticeSecretFiles names files that look like secrets before they are sent.
	NoticeSecretFiles channel.ProblemCode = "secret_files"
	// NoticeIgnoreRules names rules that the client cannot obey.
	NoticeIgnoreRules channel.ProblemCode = "ignore_rules"
	// NoticeSecondTry says that the agent was lost and the client requests another.
	NoticeSecondTry channel.ProblemCode = "second_try"
	// NoticeUnexplained says that the broker gave no reasons although the user requested
	// them.
	NoticeUnexplained channel.ProblemCode = "unexplained"
)

// Upload and Download count the bytes of contents so far and in all. In the last event
// of a transfer the two are equal.
type (
	Upload   struct{ Done, Total int64 }
	Download struct{ Done, Total int64 }
)

// Canceling is the event of a request to the agent to stop.
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

// emitter passes events to the caller one after another.
type emitter struct {
	mu   sync.Mutex
	emit func(Event)
}

func (m *emitter) event(e Event) {
	if m.emit == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.emit(e)
}

// Explained is the event of the broker's reasons for its choice of candidates, best
// first. It comes once, with the first grant, if the request wants it.
type Explained struct {
	JobID      string
	Candidates []api.Explained
}

func (Explained) event() {}

// explain passes on the reasons for the candidates of the first grant.
func (i *introduction) explain(granted *api.GrantResponse) {
	if !i.need.Explain {
		return
	}
	i.need.Explain = false
	if len(granted.Explanation) == 0 {
		i.events.event(Notice{channel.Problem{
			Code: NoticeUnexplained, Message: "the broker gives no reasons for its choice of agents; it may be older than this client",
		}})
		return
	}
	i.events.event(Explained{JobID: granted.JobID, Candidates: granted.Explanation})
}
